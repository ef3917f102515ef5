"""PyTorch's `.pth` files of tensors, read without PyTorch and without running them (see `pickles`).

Old form: pickles of a magic number, a version, the machine, the dictionary, the storages' keys in order; then for each
storage its number of elements (8 bytes) and the elements, little-endian. New form: a zip of stored members
`<folder>/data.pkl` and `<folder>/data/<key>`.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from dartsminus_tf.pretrained.published.pickles import Name, Persistent, Refused, Tensor, read_pickle

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
TYPES = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
MOST_DIMENSIONS = 8
ZIP = b"PK\x03\x04"


def read_pth(content: bytes) -> dict[str, np.ndarray]:
    """{name: array} of the tensors in a file; those under `state_dict` where there is such a key.

    Raises:
        Refused: on a file that is damaged, holds anything else, or asks for anything else.
    """
    tensors, storages = _read_zip(content) if content.startswith(ZIP) else _read_old(content)
    shapes = [_shape(tensor) for tensor in tensors.values()]
    if sum(map(math.prod, shapes)) > sum(map(len, storages.values())):
        raise Refused("its tensors hold more numbers than its storages")
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


def _tensors(found: Any) -> dict[str, Tensor]:
    """The tensors by name."""
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise Refused("it holds something else than a dictionary of tensors")
    if not all(isinstance(name, str) for name in found):
        raise Refused("a tensor's name is no text")
    return found


def _read_old(content: bytes) -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
    stream = io.BytesIO(content)
    if read_pickle(stream) != MAGIC or read_pickle(stream) != VERSION:
        raise Refused("it does not begin as a PyTorch file does")
    machine = read_pickle(stream)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise Refused("its numbers are not little-endian")
    found, keys = _tensors(read_pickle(stream)), read_pickle(stream)
    needed = _storages(found, len(content))
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(needed):
        raise Refused("its list of storages is not that of its tensors")
    storages = {}
    for key in keys:
        kind, count = needed[key]
        if int.from_bytes(stream.read(8), "little") != count:
            raise Refused("damaged: a storage has another size than its tensors say")
        storages[key] = _elements(stream.read(count * kind.itemsize), kind, count)
    if stream.read(1):
        raise Refused("damaged: bytes follow the last storage")
    return found, storages


def _read_zip(content: bytes) -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            compressed = any(info.compress_type != zipfile.ZIP_STORED for info in members.values())
            folder = next((name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")), None)
            if compressed or folder is None or len(members) != len(archive.infolist()):
                raise Refused("it is no zip as PyTorch writes them")
            order = f"{folder}byteorder"
            if order in members and archive.read(order) != b"little":
                raise Refused("its numbers are not little-endian")
            found = _tensors(read_pickle(io.BytesIO(archive.read(f"{folder}data.pkl"))))
            needed = _storages(found, len(content))
            names = {key: f"{folder}data/{key}" for key in needed}
            missing = [name for name in names.values() if name not in members]
            if missing:
                raise Refused(f"damaged: {missing[0]} is missing")
            return found, {key: _elements(archive.read(names[key]), *needed[key]) for key in needed}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise Refused(f"damaged: {error}") from None


def _storages(tensors: Mapping[str, Tensor], size: int) -> dict[str, tuple[np.dtype, int]]:
    """{key: (type, number of elements)} of the storages in a file of `size` bytes that tensors refer to."""
    needed = {}
    for tensor in tensors.values():
        key, about = _storage(tensor.storage)
        if needed.setdefault(key, about) != about:
            raise Refused("two tensors disagree about a storage")
    if sum(kind.itemsize * count for kind, count in needed.values()) > size:
        raise Refused("damaged: it is shorter than its storages")
    return needed


def _storage(reference: Any) -> tuple[str, tuple[np.dtype, int]]:
    """Of ("storage", type, key, device, number of elements) and, in the old form, None for no view."""
    key = reference.key if isinstance(reference, Persistent) else ()
    if len(key) not in (5, 6) or key[0] != "storage" or key[5:] not in ((), (None,)):
        raise Refused("it refers to what is no storage")
    kind = TYPES.get(key[1].text) if isinstance(key[1], Name) else None
    if kind is None or not isinstance(key[2], str) or not _whole(key[4]):
        raise Refused("it refers to a storage of another kind")
    return key[2], (kind, key[4])


def _elements(content: bytes, kind: np.dtype, count: int) -> np.ndarray:
    if len(content) != count * kind.itemsize:
        raise Refused("damaged: a storage ends early")
    return np.frombuffer(content, kind)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    _, offset, size, strides = tensor
    lists = isinstance(size, tuple) and isinstance(strides, tuple) and len(size) == len(strides) <= MOST_DIMENSIONS
    if not lists or not all(_whole(number) for number in (offset, *size, *strides)) or 0 in size:
        raise Refused("a tensor has no proper shape")
    return size


def _array(tensor: Tensor, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    """The view of its storage that a tensor is, as an array of its own."""
    elements, (offset, size, strides) = storages[_storage(tensor.storage)[0]], tensor[1:]
    last = offset + sum((length - 1) * stride for length, stride in zip(size, strides, strict=True))
    if last >= len(elements):
        raise Refused("a tensor lies outside its storage")
    bytes_ = [stride * elements.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(elements[offset:], size, bytes_).copy()


def _whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0
