"""Files of weights -> {name: array}: safetensors, PyTorch's `.pth`, known by their content, not by their suffix."""

from pathlib import Path

import numpy as np

from dartsminus_tf.foundation.config.paths import expanded
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.published.pickles import Refused
from dartsminus_tf.pretrained.published.pth import ZIP, read_pth

LARGEST = 2**30  # bytes; the largest published mobile network has a twentieth of it
HDF5 = b"\x89HDF\r\n\x1a\n"
EXTRA = 'pip install "dartsminus_tf[pretrained]"'


def content_of(file: str | Path) -> bytes:
    """What stands in a file of weights.

    Raises:
        UsageError: where there is no such file, or one that no mobile network has.
    """
    path = Path(expanded(str(file)))
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise UsageError(f"A file of weights is a regular one of at most {LARGEST} bytes. Received: {str(file)!r}")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"The file of weights cannot be read ({error.strerror}). Received: {str(file)!r}") from None


def is_keras(content: bytes) -> bool:
    """Whether it is HDF5, Keras' form."""
    return content.startswith(HDF5)


def read_tensors(content: bytes, name: str) -> dict[str, np.ndarray]:
    """{name: array} of a file's tensors. Files of the two forms are not run, whatever they hold.

    Args:
        content: of the file.
        name: what messages call it.

    Raises:
        UsageError: on a damaged file, one that holds anything but tensors, and a missing package.
    """
    try:
        pickled = content.startswith((ZIP, b"\x80"))
        found = read_pth(content) if pickled else _read_safetensors(content)
    except Refused as error:
        raise UsageError(
            f"It is no whole file of tensors, safetensors or .pth, that can be trusted: {error}. Received: {name!r}"
        ) from None
    if not all(key.isascii() and key.isprintable() for key in found):  # they will be printed
        raise UsageError(f"Names of tensors must be plain text. Received: {name!r}")
    strange = [key for key, array in found.items() if not np.isfinite(array).all()]
    if strange:
        raise UsageError(f"Weights must be finite; those of {strange[0]!r} are not. Received: {name!r}")
    return found


def _read_safetensors(content: bytes) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load
    except ImportError:
        raise UsageError(
            f"Files that are no .pth are read by the package safetensors: {EXTRA}. Received: none installed"
        ) from None
    try:
        return {name: array.astype(np.float32) for name, array in load(content).items()}
    except (SafetensorError, KeyError) as error:  # KeyError: of a type that numpy lacks
        raise Refused(f"damaged: {error}") from None
