"""PyTorch's files, written by hand: the bytes of their pickles, one operation after the other, without PyTorch."""

import io
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
STORAGES = {"float32": b"FloatStorage", "int64": b"LongStorage"}


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


ORDERED = name("collections", "OrderedDict") + b")R"


def reference(key: str, kind: str, count: int, old: bool) -> bytes:
    """The persistent id of a storage."""
    view = b"N" if old else b""
    storage = b"ctorch\n" + STORAGES[kind] + b"\n"
    return b"(" + text("storage") + storage + text(key) + text("cpu") + number(count) + view + b"tQ"


def tensor(storage: bytes, shape, strides, offset: int = 0) -> bytes:
    call = storage + number(offset) + numbers(shape) + numbers(strides) + b"\x89" + ORDERED
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + call + b"tR"


def pickle(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def dictionary(entries: Mapping[str, bytes]) -> bytes:
    """An OrderedDict with PyTorch's `_metadata`, its values being bytes of pickles."""
    items = b"".join(text(key) + value for key, value in entries.items())
    metadata = b"}" + text("_metadata") + ORDERED + b"sb"
    return ORDERED + b"(" + items + b"u" + metadata


def laid_out(array: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """(elements in memory's order, strides in elements) of an array: PyTorch writes strides as they are."""
    array = array if array.flags.c_contiguous or array.flags.f_contiguous else np.ascontiguousarray(array)
    order = "C" if array.flags.c_contiguous else "F"
    return array.ravel(order=order), [stride // array.itemsize for stride in array.strides]


def tensors_of(state: Mapping[str, np.ndarray], old: bool) -> tuple[bytes, dict[str, bytes]]:
    """The dictionary of `state` and {key: bytes} of its storages."""
    entries, storages = {}, {}
    for index, (key, array) in enumerate(state.items()):
        elements, strides = laid_out(array)
        storage = reference(str(index), array.dtype.name, elements.size, old)
        entries[key] = tensor(storage, array.shape, strides)
        storages[str(index)] = elements.tobytes()
    return dictionary(entries), storages


def old_file(body: bytes, storages: Mapping[str, bytes], sizes: Mapping[str, int] | None = None) -> bytes:
    """The zipless form; `sizes` in elements, by default those of float32."""
    machine = b"}" + text("little_endian") + b"\x88s"
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    parts = [b"\x8a\x0a" + MAGIC, number(1001), machine, body, keys]
    content = b"".join(map(pickle, parts))
    for key, raw in storages.items():
        content += struct.pack("<q", (sizes or {}).get(key, len(raw) // 4)) + raw
    return content


def zip_file(body: bytes, storages: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The form of PyTorch 1.6 and later."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickle(body))
        archive.writestr("archive/byteorder", b"little")
        for key, raw in storages.items():
            archive.writestr(f"archive/data/{key}", raw)
        archive.writestr("archive/version", b"3\n")
    return stream.getvalue()


def saved(state: Mapping[str, np.ndarray], old: bool = True) -> bytes:
    """The file of `state`, {name: float32 or int64 array}."""
    body, storages = tensors_of(state, old)
    if not old:
        return zip_file(body, storages)
    return old_file(body, storages, {str(i): array.size for i, array in enumerate(state.values())})
