"""Pictures and class folders as users have them, for the tests of every place that reads them."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from dartsminus_tf.config import DataConfig
from dartsminus_tf.data.sources import load_source
from dartsminus_tf.foundation.errors import UsageError

# Two rows of three pixels, none alike: every turn gives something else.
SHOWN = np.arange(0, 18 * 14, 14, dtype=np.uint8).reshape(2, 3, 3)
# EXIF 2.32, 4.6.4: where the first row and the first column of what is stored are to be seen.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"}}


def stored(shown: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that `orientation` turns into `shown` [H, W, 3]."""
    first_row, first_column = SIDES[orientation]
    pixels = shown if first_row in ("top", "bottom") else shown.swapaxes(0, 1)
    if first_row in ("bottom", "right"):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if first_column in ("bottom", "right") else pixels


def save_turned(path: Path, orientation: int, form: str = "PNG", shown: np.ndarray = SHOWN, **options) -> None:
    """Write a picture that is to be seen as `shown`."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture = Image.fromarray(np.ascontiguousarray(stored(shown, orientation)))
    picture.save(path, format=form, exif=exif, **LOSSLESS.get(form, {}), **options)


def encoded(form: str = "PNG", pixels: np.ndarray | None = None, **options) -> bytes:
    """A whole picture, 20 x 30 pixels of noise where none are given."""
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 255, (30, 20, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=form, **options)
    return buffer.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def header_of_png(width: int, height: int) -> bytes:
    """The first bytes of a PNG that claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"x")
    )


# What makes trouble: a maker at a path, and words of the reason.
BAD = {
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "folder": (lambda path: path.mkdir(), "it is a folder"),
    "fifo": (os.mkfifo, "no regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
    "broken_link": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "circle": (lambda path: path.symlink_to(path), "symbolic links"),
    "text": (lambda path: path.write_text("no picture"), "its content is none of JPEG, PNG"),
    "page": (lambda path: path.write_text("<html>404</html>" * 99), "its content is none of"),
    "eps": (lambda path: path.write_bytes(EPS), "its content is none of"),
    "tga": (lambda path: path.write_bytes(encoded("TGA")), "its content is none of"),
    "ico": (lambda path: path.write_bytes(encoded("ICO")), "its content is none of"),
    "noise": (lambda path: path.write_bytes(b"\xff\xd8\xff" + bytes(range(256)) * 4), "none of JPEG"),
    "half_jpeg": (lambda path: path.write_bytes(encoded("JPEG")[:900]), "truncated"),
    "half_png": (lambda path: path.write_bytes(encoded("PNG")[:900]), "truncated"),
    "half_webp": (lambda path: path.write_bytes(encoded("WEBP")[:300]), "decoder"),
    "half_tiff": (lambda path: path.write_bytes(encoded("TIFF")[:900]), "A picture cannot be used: "),
    "half_bmp": (lambda path: path.write_bytes(encoded("BMP")[:900]), "truncated"),
    "half_gif": (lambda path: path.write_bytes(encoded("GIF")[:900]), "truncated"),
    "bomb": (lambda path: path.write_bytes(header_of_png(60_000, 60_000)), "more than 178,956,970 pixels"),
}


PIXELS = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)


def fill(folder: Path, count: int = 1) -> None:
    """Write pictures of `PIXELS` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(encoded("PNG", PIXELS))


def load(root: Path, **config):
    """The class folders in `root` as a data source."""
    return load_source(DataConfig(name="folder", data_dir=str(root), **config))


def refusal(root: Path) -> str:
    """The line by which the class folders in `root` are refused."""
    with pytest.raises(UsageError) as error:
        load(root)
    if "Received: " not in str(error.value) or "\n" in str(error.value):
        pytest.fail(f"no line of the usual form: {error.value}")
    return str(error.value)
