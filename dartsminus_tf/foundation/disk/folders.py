"""Folders that appear whole or not at all: filled under a name of their own beside their place, and renamed into it."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dartsminus_tf.foundation.disk.files import sweep, temporary_of, to_disk, writing
from dartsminus_tf.foundation.disk.lock import mark
from dartsminus_tf.foundation.errors import UsageError


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; renames it to `path` on success, removes it on failure.

    Of two writers of one folder the slower is refused, and leaves the folder of the faster as it is.

    Raises:
        UsageError: where no folder can appear at `path` (see `require_place`), or another has appeared there since.
    """
    path = require_place(path)
    made = _make_parents(path)
    sweep(path.parent)
    try:
        with writing(path) as temporary, _held(temporary):
            yield temporary
            for file in filter(Path.is_file, temporary.rglob("*")):
                to_disk(file)
            _appear(temporary, path)
        made = []
    finally:
        with contextlib.suppress(OSError):  # what was made for it goes, unless somebody else uses it now
            for parent in made:
                parent.rmdir()
    to_disk(path.parent)


def require_place(path: str | os.PathLike, name: str = "The folder") -> Path:
    """Refuse a place where `new_folder` cannot make one; to be called before the work that fills it.

    Args:
        path: the place.
        name: what the user calls it, for the message.

    Returns:
        Its absolute path without symbolic links.

    Raises:
        UsageError: where it is neither new nor an empty folder, is the folder that the process works in or a mount
            point, which cannot be replaced, or is below something that is no folder or cannot be written to.
    """
    place = _place(path, name)
    _require_free(place, path, name)
    _require_room(place, path, name)
    return place


def require_folder(path: str | os.PathLike, name: str = "The folder") -> Path:
    """Refuse a place where no folder is that can be written to, and none can be made; see `require_place`."""
    place = _place(path, name)
    if os.path.lexists(place) and not place.is_dir():
        raise UsageError(f"{name} must be a folder. Received: {path}")
    _require_room(place / "inside" if place.is_dir() else place, path, name)
    return place


def _place(path: str | os.PathLike, name: str) -> Path:
    try:
        return Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # the latter of a circle of links
        raise UsageError(f"{name} cannot be there ({_reason(error)}). Received: {str(path)!r}") from None


def _require_room(place: Path, path: str | os.PathLike, name: str) -> None:
    """Refuse a place that no folder can be made at: by making one, since permissions do not say all everywhere."""
    try:
        above = next(parent for parent in place.parents if os.path.lexists(parent))
        if not above.is_dir():
            raise UsageError(f"{name} must be in a folder, but {above} is none. Received: {path}")
        probe = above / f"{temporary_of(place).name}.probe"
        probe.mkdir()
        with contextlib.suppress(FileNotFoundError):
            probe.rmdir()
    except OSError as error:
        raise UsageError(f"{name} cannot be made there ({_reason(error)}). Received: {path}") from None


def _require_free(place: Path, path: str | os.PathLike, name: str) -> None:
    try:
        if os.path.lexists(place) and not (place.is_dir() and not any(place.iterdir())):
            raise UsageError(f"{name} must be new or empty. Received: {path}")
        current = place.exists() and place.samefile(os.curdir)
    except OSError as error:
        raise UsageError(f"{name} cannot be there ({_reason(error)}). Received: {path}") from None
    if current or os.path.ismount(place):
        what = "the current folder" if current else "a mount point"
        raise UsageError(f"{name} cannot be {what}: name a new one in it. Received: {path}")


def _make_parents(path: Path) -> list[Path]:
    """Make the folders above `path`; those that were not there, the deepest first."""
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder cannot be made ({error.strerror}). Received: {path}") from None
    return missing


def _appear(temporary: Path, path: Path) -> None:
    try:
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise UsageError(f"The folder must be new or empty. Received: {path}") from None  # somebody has filled it
        raise


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make a folder, keep it from being swept while its process is there, and remove it."""
    try:
        folder.mkdir()
    except OSError as error:
        raise UsageError(f"The folder cannot be made ({error.strerror}). Received: {folder}") from None
    descriptor = mark(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # where it still has this name
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
