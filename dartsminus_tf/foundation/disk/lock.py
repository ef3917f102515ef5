"""One process at a time in a run directory.

The lock is the kernel's (`flock`): it goes with its process, however that ends, so a lock is never left behind.
"""

import contextlib
import os
import platform
import time
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

from dartsminus_tf.foundation.errors import UsageError

NAME = ".lock"
ATTEMPTS, PAUSE = 5, 0.02  # somebody who only looks holds it for a moment


def require_locks() -> None:
    """Refuse a system without the kernel's locks.

    Raises:
        UsageError: on Windows.
    """
    if fcntl is None:
        raise UsageError(
            "Runs need locks of the kernel (Python's module fcntl), which Windows lacks: use Linux, macOS, or WSL on "
            f"Windows. Received: {platform.system()}"
        )


class RunLock:
    """An exclusive lock on a directory, or on a part of what is in it; held inside where it is a context.

    Args:
        directory: must exist when the lock is taken. The file `name` in it says who holds it.
    """

    def __init__(self, directory: Path, name: str = NAME):
        self.path = directory / name
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; nothing happens where this object holds it.

        Raises:
            UsageError: where another process, or another run of this one, holds it, or nothing can be locked.
        """
        require_locks()
        if self._file is not None:
            return
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _taken(self.path, file, fcntl.LOCK_EX, ATTEMPTS):
            holder = os.read(file, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(file)
            raise UsageError(f"The directory is in use by {holder}. Received: {self.path.parent}")
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        self._file = file

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._file is not None

    def is_free(self) -> bool:
        """Whether nobody holds it, this object included."""
        require_locks()
        try:
            file = os.open(self.path, os.O_RDONLY)
        except OSError:
            return True
        try:
            return _taken(self.path, file, fcntl.LOCK_SH)  # two who look do not see each other
        finally:
            os.close(file)  # and with it what was taken

    def __enter__(self) -> "RunLock":
        self.acquire()
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """Let it go; nothing happens where it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _taken(path: Path, file: int, kind: int, attempts: int = 1) -> bool:
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            continue
        except OSError as error:
            raise UsageError(f"Files cannot be locked there ({error.strerror}). Received: {path}") from None
    return False


def mark(folder: Path) -> int:
    """Mark a folder as one that a process is at work in, until the descriptor that is returned is closed."""
    require_locks()
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # a place without locks: the process' number has to do
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def is_marked(folder: Path) -> bool:
    """Whether a process on this machine has marked the folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
