"""What an image file says of itself: its size, whether EXIF data turn it, or what is wrong with it."""

import io
import struct
from pathlib import Path, PurePosixPath

from PIL import ExifTags, Image

FAULTS = ("image_malformed", "image_outside_folder", "image_missing", "image_unreadable")
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


def size_or_fault(entry: dict, image_dir: Path) -> tuple[tuple[int, int], bool] | str:
    """(width, height) of the image that an entry names and whether EXIF data turn it, or its fault, one of `FAULTS`."""
    name = entry.get("file_name")
    if not isinstance(name, str) or not isinstance(entry.get("id"), int | str):
        return "image_malformed"
    if not _is_inside(name):
        return "image_outside_folder"
    if not _is_file(image_dir / name):
        return "image_missing"
    stated = entry.get("width"), entry.get("height")
    return _size_and_turn(image_dir / name, stated) or "image_unreadable"


def is_there(name: object, image_dir: Path) -> bool:
    """Whether `image_dir` holds a file of this name."""
    return isinstance(name, str) and _is_inside(name) and _is_file(image_dir / name)


def _is_inside(name: str) -> bool:
    """Whether a file name stays in its folder by its own account; links in the folder are the user's affair."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _size_and_turn(path: Path, stated: tuple) -> tuple[tuple[int, int], bool] | None:
    """(width, height) of a picture that decodes to its end, else None; JPEG at 1/8 scale, for speed.

    A photograph that its EXIF data turn by 90 degrees has the size shown, if that is what its entry states.
    """
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            size = picture.size
            turned = stated == size[::-1] != size and picture.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
            picture.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
            picture.load()
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        return None
    return (size[::-1] if turned else size), turned
