"""One process at a time in a run directory, by the kernel's lock: it goes with its process, however that ends."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from detection.errors import DetectionError


@contextlib.contextmanager
def locked(model_dir: str) -> Iterator[None]:
    """Holds `model_dir` (which exists) for this process; the file `.lock` in it says who does.

    Raises:
      DetectionError: another process is at work there.
    """
    file = os.open(Path(model_dir) / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(file, 200).decode("utf-8", "replace").strip() or "another process"
            raise DetectionError(f"--model_dir is in use by {holder}. Received: {model_dir!r}") from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        yield
    finally:
        os.close(file)
