"""The further files of an export, by name; known without TensorFlow, so that a wrong name costs no time."""

import importlib.util
from collections.abc import Sequence

from dartsminus_tf.foundation.errors import UsageError

FILES = {"litert": "classify.tflite", "onnx": "classify.onnx"}
USUAL = {"tflite": "litert"}  # what LiteRT was called, and its files still are
PACKAGES = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnxruntime")}


def read_formats(names: Sequence[str]) -> list[str]:
    """The keys of `FILES` that `names` mean, in any case of letters.

    Raises:
        UsageError: where one is none, stands twice, or needs a package that is not installed.
    """
    formats = []
    for name in names:
        plain = name.strip().lower()
        known = USUAL.get(plain, plain)
        if known not in FILES:
            raise UsageError(f"formats are {', '.join(FILES)} (or {', '.join(USUAL)}). Received: {name!r}")
        if known in formats:
            raise UsageError(f"formats must be different, and {known} stands there twice. Received: {','.join(names)}")
        formats.append(known)
    for package in (package for known in formats for package in PACKAGES[known]):
        if importlib.util.find_spec(package) is None:
            raise missing_package(package)
    return formats


def missing_package(name: str) -> UsageError:
    """What is said where a package of the extra `export` is not there."""
    return UsageError(
        f'This needs a package that is not installed: pip install "dartsminus_tf[export]". Received: {name}'
    )
