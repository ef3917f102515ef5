"""The pictures that a split was made from, as `pictures_<split>.json` keeps them: sizes, times, contents."""

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from dartsminus_tf.foundation.errors import UsageError

Picture = tuple[Annotated[int, Field(ge=0)], int, str | None]  # bytes, time in ns, SHA-256 (None: it cannot be read)
_UNREADABLE: Picture = (0, 0, None)
_PICTURES = TypeAdapter(dict[str, Picture])


def inventory_path(folder: Path, split: str) -> Path:
    """Where the inventory of a split is."""
    return folder / f"pictures_{split}.json"


def fingerprint(places: dict[str, str | None], image_dir: Path) -> str:
    """SHA-256 of the names and sizes of the pictures that annotations name, wherever the folder is.

    Args:
      places: file, relative to the folder, by the name in the annotations; None where there is none.
      image_dir: the folder.
    """
    return hashlib.sha256(json.dumps(sorted(_sizes(places, image_dir).items())).encode()).hexdigest()


def _sizes(places: dict[str, str | None], image_dir: Path) -> dict[str, int]:
    """Bytes by file; -1 where there is none."""
    return {place or name: (image_dir / place).stat().st_size if place else -1 for name, place in places.items()}


def take(
    places: dict[str, str | None],
    image_dir: Path,
    num_workers: int = 1,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Picture]:
    """The inventory: every picture that is there is read."""
    names = sorted(set(filter(None, places.values())))
    with concurrent.futures.ThreadPoolExecutor(num_workers) as pool:
        found = pool.map(lambda name: _look(image_dir / name), names)
        return dict(zip(names, progress(found), strict=True))


def _look(path: Path) -> Picture:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            about = os.fstat(file.fileno())
            return about.st_size, about.st_mtime_ns, digest
    except OSError:  # the preparation leaves it out and says so
        return _UNREADABLE


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def first_change(path: Path, places: dict[str, str | None], image_dir: Path) -> str:
    """The first picture whose place or size is not what the inventory in `path` says, and how."""
    stored = _read(path)
    for name, size in sorted(_sizes(places, image_dir).items()):
        before = stored[name][0] if name in stored else -1
        if size != before:
            words = ["no file" if number < 0 else f"{number} bytes" for number in (before, size)]
            return f"{name!r}: {words[0]} then, {words[1]} now"
    return "a picture is not named any more"


def verify(path: Path, image_dir: Path, num_workers: int = 1, progress: Callable[[Iterable], Iterable] = iter) -> None:
    """Reads every picture of the inventory in `path`, those with another time than then first.

    Raises:
      UsageError: one has other contents.
    """
    stored = _read(path)
    suspicion = sorted(stored, key=lambda name: _time(image_dir / name) == stored[name][1])
    with concurrent.futures.ThreadPoolExecutor(num_workers) as pool:
        found = pool.map(lambda name: _look(image_dir / name), suspicion)
        for name, (_, _, digest) in zip(suspicion, progress(found), strict=True):
            if digest != stored[name][2]:
                pool.shutdown(wait=False, cancel_futures=True)
                raise UsageError(
                    f"a picture has changed since the preparation; pass --overwrite to prepare anew. "
                    f"Received: {str(image_dir / name)!r}"
                )


def _read(path: Path) -> dict[str, Picture]:
    try:
        return _PICTURES.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise UsageError(
            f"the inventory of the pictures is missing or damaged; pass --overwrite. Received: {str(path)!r}"
        ) from None
