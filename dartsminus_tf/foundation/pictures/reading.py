"""Picture files as RGB: the one place where both packages open them.

What a file is decides its content, never its ending, and `FORMATS` alone are looked for: an EPS that is called `.jpg`
would start Ghostscript. Of several frames or pages the first one counts. Nothing is decoded of a picture whose header
names more than `MAX_PIXELS`.
"""

import contextlib
import io
import os
import stat
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import shown

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")  # Pillow's names; MPO, of cameras, is a JPEG
MAX_PIXELS = 178_956_970  # where Pillow itself raises, too
MAX_BYTES = 2**31
LEFT_OUT = "left_out.json"  # where a run keeps the names of all pictures that it does without, and why

_MOST_NAMED = 20
_JPEG = ("JPEG", "MPO")
_TURN = {  # EXIF's orientation: what turns the stored picture into the one that is meant to be seen
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BACK = _TURN | {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
_TO_RGB = {"La": "LA", "RGBa": "RGBA"}  # by way of this mode
_DAMAGE = (  # what Pillow raises on files that are not what they claim
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class PictureError(UsageError):
    """A file that cannot be used as a picture.

    Attributes:
        path: the file.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(f"A picture cannot be used: {reason}. Received: {shown(os.fspath(path))}")
        self.path, self.reason = Path(path), reason


@dataclass(frozen=True)
class Look:
    """What the header of a picture says.

    Attributes:
        format: one of `FORMATS`, or MPO.
        stored: (width, height) of the pixels as they are stored.
        orientation: EXIF's, 1 to 8; 1 leaves them as they are.
    """

    format: str
    stored: tuple[int, int]
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture as it is meant to be seen."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored

    @property
    def is_jpeg(self) -> bool:
        """Whether JPEG decoders read it."""
        return self.format in _JPEG

    @property
    def is_plain(self) -> bool:
        """Whether any decoder of JPEG and PNG gives the right picture, one that knows nothing of EXIF too."""
        return self.orientation == 1 and (self.is_jpeg or self.format == "PNG")


def look(path: str | os.PathLike, to_the_end: bool = False) -> Look:
    """What a picture is, by its header.

    Args:
        path: the file.
        to_the_end: decode it, too, to see whether it is whole; JPEG at an eighth of its size, for speed.

    Raises:
        PictureError: see `read`; without `to_the_end` a damage behind the header is not seen, but in a PNG.
    """
    with _opened(path) as picture:
        seen = _look(picture)
        if to_the_end:
            picture.draft("RGB", (max(1, picture.width // 8), max(1, picture.height // 8)))
            picture.load()
        return seen


def read(path: str | os.PathLike, upright: bool = True) -> np.ndarray:
    """A picture as uint8 [H, W, 3], RGB.

    Grey of 16 bits is scaled by its high byte, as TensorFlow and libpng do. Transparency is dropped, as in TensorFlow
    and Keras: the colours are those that are stored. Whole and floating numbers of 32 bits, which have no range of
    their own, are taken to lie in 0..1 (floating alone), else 0..255, else 0..65535, the first that holds them all.

    Args:
        path: the file, whose name need not be UTF-8.
        upright: turn it as its EXIF data ask, in all eight orientations; else as it is stored.

    Raises:
        PictureError: no regular file, empty, too large, of another format, cut short or damaged.
    """
    with _opened(path) as picture:
        orientation = _orientation(picture)
        picture.load()
        left = _orientation(picture)  # Pillow turns a TIFF by itself
        pixels = Image.fromarray(_rgb(picture))
        if left in _TURN:
            pixels = pixels.transpose(_TURN[left])
        if not upright and orientation in _BACK:
            pixels = pixels.transpose(_BACK[orientation])
        return np.array(pixels)


def as_bitmap(path: str | os.PathLike) -> bytes:
    """What `read` gives, as a BMP file, which TensorFlow decodes to the same pixels; raises as `read` does."""
    buffer = io.BytesIO()
    Image.fromarray(read(path)).save(buffer, format="BMP")
    return buffer.getvalue()


def name_left_out(faults: Sequence[PictureError], remarks: Sequence[str] = (), file: str = LEFT_OUT) -> None:
    """Print a line for each of the first faults, one with their number, and each remark, on standard error.

    Args:
        faults: what is wrong with the pictures that are left out.
        remarks: what else to say.
        file: the name of the one that lists them all.
    """
    lines = [f"left out: {shown(fault.path)}: {fault.reason}" for fault in faults[:_MOST_NAMED]]
    more = f", all are named in {file}" if len(faults) > _MOST_NAMED else ""
    lines += [f"pictures left out: {len(faults)}{more}"] if faults else []
    for line in [*lines, *remarks]:
        print(f"data: {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Image.Image]:
    try:
        _require_regular(path)
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as picture:
            pixels = picture.width * picture.height
            if pixels > MAX_PIXELS:
                raise PictureError(path, f"it has {pixels:,} pixels, at most {MAX_PIXELS:,} may be")
            yield picture
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(path, f"its content is none of {', '.join(FORMATS)}, or its header is damaged") from None
    except Image.DecompressionBombError:
        raise PictureError(path, f"it has more than {MAX_PIXELS:,} pixels") from None
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PictureError(path, shown(reason, 200)) from None


def _require_regular(path: str | os.PathLike) -> None:
    """Nothing else is opened: a FIFO would wait for ever, and a device has no end."""
    state = os.stat(path)
    if stat.S_ISDIR(state.st_mode):
        raise PictureError(path, "it is a folder")
    if not stat.S_ISREG(state.st_mode):
        raise PictureError(path, "it is no regular file")
    if not state.st_size:
        raise PictureError(path, "it is empty")
    if state.st_size > MAX_BYTES:
        raise PictureError(path, f"it has {state.st_size:,} bytes, at most {MAX_BYTES:,} may be")


def _look(picture: Image.Image) -> Look:
    stored = picture.size
    if isinstance(picture, TiffImagePlugin.TiffImageFile):  # whose `size` may be the turned one
        stored = picture.tag_v2[TiffImagePlugin.IMAGEWIDTH], picture.tag_v2[TiffImagePlugin.IMAGELENGTH]
    return Look(picture.format, stored, _orientation(picture))


def _orientation(picture: Image.Image) -> int:
    """1 to 8; 1 where EXIF data are absent, say nonsense or cannot be read: no reader leaves such pictures out."""
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGE:
        picture.load()  # where it is the pixels that are damaged, this says so
        return 1
    return value if value in _TURN else 1


def _rgb(picture: Image.Image) -> np.ndarray:
    """A picture that is loaded, as uint8 [H, W, 3]."""
    if picture.mode.startswith(("I", "F")):
        grey = _eight_bits(picture)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in _TO_RGB:
        picture = picture.convert(_TO_RGB[picture.mode])
    return np.asarray(picture.convert("RGB"))


def _eight_bits(picture: Image.Image) -> np.ndarray:
    """Grey of more than eight bits as uint8 [H, W]."""
    values, tags = np.asarray(picture), getattr(picture, "tag_v2", {})
    if picture.mode.startswith("I;16"):
        (bits,) = tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))
        grey = values >> (bits - 8)
    elif not tags:  # 16 bits, of PNG and PPM
        grey = values >> 8
    else:
        grey = _ranged(values, picture.mode)
    grey = grey.astype(np.uint8)
    white_is_zero = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    return 255 - grey if white_is_zero else grey


def _ranged(values: np.ndarray, mode: str) -> np.ndarray:
    low, high = values.min(), values.max()
    if low >= 0 and high <= 1 and mode == "F":
        return np.rint(values * 255)
    if low >= 0 and high <= 255:
        return np.rint(values)
    if low >= 0 and high <= 65535:
        return values // 256
    raise ValueError(f"its values lie in {low:g}..{high:g}, and no rule brings them to 0..255")
