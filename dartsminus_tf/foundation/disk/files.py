"""Files that appear whole or not at all: written beside their place and renamed into it. For folders see `folders`.

A temporary name is `.<process>@<host>.tmp.<name>`, of this process alone; what a killed process left under such a name
is swept later.
"""

import contextlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dartsminus_tf.foundation.disk.lock import is_marked
from dartsminus_tf.foundation.errors import UsageError

_TEMPORARY = re.compile(r"\.(\d+)(?:@([\w-]*))?\.tmp\..+|\..+\.(\d+)\.tmp", re.DOTALL)  # the latter of older versions
_HOST = re.sub(r"[^\w-]", "_", platform.node())
_OPEN: set[Path] = set()  # temporaries that this process is writing


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` on success, removes it on failure.

    The temporary name keeps the suffixes, because PIL, matplotlib and Keras choose the format by them. What was
    written is on the disk when this returns; where it cannot be, OSError is raised and the old file stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        try:
            yield temporary
            to_disk(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    to_disk(path.parent)  # the rename itself


def write_atomically(path: str | os.PathLike, content: str | bytes | memoryview) -> None:
    """Write `content` (text as UTF-8) to `path` so that a reader sees the old or the new file, never a part of one."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as JSON atomically, a mapping with one line for each of its keys.

    Raises:
        UsageError: where a number is NaN or infinite, for which JSON has no word.
    """
    try:
        text = json_text(value)
    except ValueError as error:
        raise UsageError(f"Numbers of a JSON file must be finite ({error}). Received: {path}") from None
    write_atomically(path, text)


def json_text(value: Any) -> str:
    """What `write_json` writes."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, allow_nan=False) + "\n"
    lines = (f"  {json.dumps(key)}: {json.dumps(entry, allow_nan=False)}" for key, entry in value.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def is_leftover(path: Path) -> bool:
    """Whether `path` has the name of a temporary file or folder."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders in `folder` whose process is gone; what cannot be removed stays.

    What bears this process' number and is not written by it now is of an earlier one. A folder that is written to is
    known by the kernel's lock too: its process may be alive under another number, in another container.
    """
    for path in folder.glob(".*"):
        if _is_orphan(path):
            with contextlib.suppress(OSError):  # somebody else's, or somebody else was faster
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_orphan(path: Path) -> bool:
    """Whether it is a temporary of a process of this host that is gone, or of an earlier one with this one's number."""
    found = _TEMPORARY.fullmatch(path.name)
    if found is None or found[2] not in (None, _HOST):
        return False
    process = int(found[1] or found[3])
    if process == os.getpid():
        return path.resolve() not in _OPEN
    return not _is_alive(process) and not (path.is_dir() and is_marked(path))


def temporary_of(path: Path) -> Path:
    """The temporary name, beside `path`, that this process has for it."""
    return path.with_name(f".{os.getpid()}@{_HOST}.tmp.{path.name}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yields `temporary_of(path)`, which `sweep` leaves alone meanwhile.

    Raises:
        UsageError: where another thread is at it.
    """
    temporary = temporary_of(path)
    if (opened := temporary.resolve()) in _OPEN:
        raise UsageError(f"This process is writing it already. Received: {path}")
    _OPEN.add(opened)
    try:
        yield temporary
    finally:
        _OPEN.discard(opened)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def to_disk(path: Path) -> None:
    """Have the content of a file, or the names in a folder, on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
