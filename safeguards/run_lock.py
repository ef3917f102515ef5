"""One process at a time in a run directory.

The lock is the kernel's (`flock`): it goes with its process, however that ends, so a lock is never left behind.
"""

import fcntl
import os
import platform
from pathlib import Path

NAME = ".lock"


class InUse(Exception):
    """Another process, or another run of this one, holds the lock; the message is "in use by ..."."""


class RunLock:
    """An exclusive lock on a directory.

    Args:
        directory: must exist. The file `.lock` in it says who holds the lock.
    """

    def __init__(self, directory: Path):
        self.path = directory / NAME
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; nothing happens where this object holds it.

        Raises:
            InUse: where another process, or another run of this one, holds it.
        """
        if self._file is not None:
            return
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(file, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(file)
            raise InUse(f"in use by {holder}") from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        self._file = file

    def close(self) -> None:
        """Let it go; nothing happens where it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
