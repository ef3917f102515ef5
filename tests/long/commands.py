"""How a command is run, watched, killed and kept from writing."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

EXIT_CODES = (0, 2, -signal.SIGKILL)  # with which a command that is killed, refused or done may end
PATIENCE, POLL = 1800.0, 0.01  # seconds
MODULES = {
    "dartsminus_tf": ["keras", "tensorflow_datasets", "dartsminus_tf.train.runner", "dartsminus_tf.search.runner"],
    "detection": ["tensorflow", "tf_keras", "official.core.train_lib", "official.vision.tasks.retinanet"],
}


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it printed."""

    code: int
    said: str

    @property
    def is_refused(self) -> bool:
        """Whether it was refused, or failed, for a reason in its last line (a stage of a quickstart says its own)."""
        return self.code == 2 and (self.said.splitlines() or [""])[-1].startswith("error: ")

    @property
    def is_fault(self) -> bool:
        """Whether the program itself failed."""
        return "Traceback" in self.said or self.code not in EXIT_CODES or (self.code == 2 and not self.is_refused)


class Zygote:
    """A running `zygote.py` for the commands of one package; a context."""

    def __init__(self, package: str, folder: Path):
        self._log, self._number = folder / f"{package}.log", 0
        legacy = {"TF_USE_LEGACY_KERAS": "1"} if package == "detection" else {}
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"} | legacy
        program = [sys.executable, str(Path(__file__).with_name("zygote.py")), *MODULES[package]]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(program, **pipes, env=environment, bufsize=0)
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{package} cannot be imported")

    def __enter__(self) -> "Zygote":
        return self

    def __exit__(self, *error) -> None:
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()

    def run(
        self,
        argv: list[str],
        cwd: Path,
        kill_after: float = PATIENCE,
        kill_when: Callable[[], bool] | None = None,
        limit: int | None = None,
    ) -> Ended:
        """Run a command to its end, or until SIGKILL: after so many seconds, or when something is true."""
        asked = {"argv": argv, "cwd": str(cwd), "log": str(self._log), "limit": limit}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        number, end = int(self._process.stdout.readline()), time.monotonic() + kill_after
        while not self._has_ended(min(POLL, kill_after)):
            if time.monotonic() >= end or (kill_when is not None and kill_when()):
                os.kill(number, signal.SIGKILL)  # it cannot be another process: nobody has waited for it
                break
        code = int(self._process.stdout.readline())
        return Ended(code, self._log.read_text(encoding="utf-8", errors="replace"))

    def _has_ended(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        return bool(select.select([self._process.stdout], [], [], seconds)[0])


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def can_mount(folder: Path) -> bool:
    """Whether this process may give a folder a file system of its own."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError), small_disk(folder, 2**20):
        return True
    return False


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """`folder` holds `size` bytes at most, until `enlarge`."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        time.sleep(0.1)
        subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def enlarge(folder: Path) -> None:
    """Somebody has made room on the disk."""
    subprocess.run(["mount", "-o", "remount,size=4g", str(folder)], check=True)
