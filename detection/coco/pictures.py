"""What an image file says of itself: its size, whether EXIF data turn it, or what is wrong with it."""

from pathlib import Path, PurePosixPath

from dartsminus_tf.foundation.pictures import reading as pictures
from dartsminus_tf.foundation.pictures.reading import Look, PictureError

FAULTS = ("image_malformed", "image_outside_folder", "image_missing", "image_unreadable", "image_too_thin")
MAX_ASPECT = 50  # thinner pictures have no row left where the network's input is 32 pixels wide


def size_or_fault(entry: dict, image_dir: Path) -> tuple[tuple[int, int], bool] | str:
    """(width, height) of the image that an entry names and whether EXIF data turn it, or its fault, one of `FAULTS`."""
    name = entry.get("file_name")
    if not isinstance(name, str) or not isinstance(entry.get("id"), int | str):
        return "image_malformed"
    if not _is_inside(name):
        return "image_outside_folder"
    if not _exists(image_dir / name):
        return "image_missing"
    try:
        look = pictures.look(image_dir / name, to_the_end=True)
    except PictureError:
        return "image_unreadable"
    if is_too_thin(*look.stored):
        return "image_too_thin"
    stated = entry.get("width"), entry.get("height")
    upright = is_upright(look, stated)
    return (look.size if upright else look.stored), upright and look.orientation != 1


def is_upright(look: Look, size: tuple) -> bool:
    """Whether boxes on a picture of this (width, height) are meant for it as it is seen.

    They are, as tools for annotation show pictures turned as EXIF data ask; but where the size is that of the stored
    pixels alone, they were made on those.
    """
    return not size == look.stored != look.size


def is_too_thin(width: int, height: int) -> bool:
    """Whether one side is more than `MAX_ASPECT` times the other: nothing is left of it in the network's input."""
    return max(width, height) > MAX_ASPECT * min(width, height)


def is_there(name: object, image_dir: Path) -> bool:
    """Whether `image_dir` holds a file of this name."""
    return isinstance(name, str) and _is_inside(name) and _is_file(image_dir / name)


def _is_inside(name: str) -> bool:
    """Whether a file name stays in its folder by its own account; links in the folder are the user's affair."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False
