"""`status.json`: what became of the work in a directory, so that nobody has to guess whether it runs, ended or died.

Written when the work begins, at every state that is saved, and when it ends. A process that was killed cannot write:
its lock (see `lock`) is free while the file still says "running", and that is read as "lost".
"""

import contextlib
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from dartsminus_tf.foundation.command import this_command
from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.foundation.files import write_json
from dartsminus_tf.foundation.lock import NAME as LOCK
from dartsminus_tf.foundation.lock import RunLock
from dartsminus_tf.foundation.typed import Strict

Text = Annotated[str, Field(max_length=4000)]


class Status(Strict):
    """What the file says.

    Args:
        state: "lost" is never written: a running process that is gone.
        why: how it ended, on one line.
        position: the last state that was saved, such as "epoch 3, step 20".
        process, host: who is, or was, at work.
        start, end: of the work, as ISO 8601 in UTC; `start` is the first call's.
        resumed: how often it was taken up again.
        command: goes on with it, or repeats it.
    """

    state: Literal["running", "finished", "stopped", "failed", "lost"] = "running"
    why: Text | None = None
    position: Text | None = None
    process: int
    host: Text
    start: Text
    end: Text | None = None
    resumed: int = 0
    command: Annotated[str, Field(max_length=10**6)]

    @property
    def line(self) -> str:
        """One line for a person: "stopped at epoch 3, step 20 (why)"."""
        where = f" at {self.position}" if self.position and self.state != "finished" else ""
        reason = f" ({self.why})" if self.why else ""
        word = "killed or lost" if self.state == "lost" else self.state
        return f"{word}{where}{reason}"


class StatusFile:
    """The status and the lock of work in a directory, as a context: running inside, then how it ended.

    Args:
        directory: made if absent, when the work begins.
        part: what of the directory the work is about, such as a split; the whole by default.
    """

    def __init__(self, directory: Path, part: str = ""):
        self.path = directory / (f"status_{part}.json" if part else "status.json")
        self.lock = RunLock(directory, f".{part}.lock" if part else LOCK)
        self._status: Status | None = None

    def read(self) -> Status | None:
        """What became of the work; None where nothing readable says so."""
        status = self._stored()
        if status is not None and status.state == "running" and self.lock.is_free():
            return status.model_copy(update={"state": "lost"})
        return status

    def begin(self) -> Status | None:
        """Take the lock and say "running"; returns what the file said before.

        Raises:
            UsageError: where another process is at work.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        before = self.read()
        self.lock.acquire()
        goes_on = before is not None and before.state != "finished"
        self._write(
            Status(
                position=before.position if goes_on else None,
                process=os.getpid(),
                host=platform.node(),
                start=before.start if goes_on else _now(),
                resumed=before.resumed + 1 if goes_on else 0,
                command=this_command(),
            )
        )
        return before

    def note(self, position: str) -> None:
        """A state was saved at `position`."""
        if self._status is not None:
            self._write(self._status.model_copy(update={"position": position}))

    def end(self, error: BaseException | None = None) -> None:
        """Say how the work ended, by the exception that ended it, and let the lock go."""
        if self._status is None:
            return
        state, why = _how(error)
        with contextlib.suppress(OSError) if error is not None else contextlib.nullcontext():  # the first error counts
            self._write(self._status.model_copy(update={"state": state, "why": why, "end": _now()}))
        self._status = None
        self.lock.close()

    def __enter__(self) -> "StatusFile":
        self.begin()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.end(error)

    def _stored(self) -> Status | None:
        try:
            return Status.model_validate_json(self.path.read_bytes())
        except (OSError, ValidationError):
            return None

    def _write(self, status: Status) -> None:
        self._status = status
        write_json(self.path, status.model_dump())


def _how(error: BaseException | None) -> tuple[str, str | None]:
    if error is None:
        return "finished", None
    line = " ".join(str(error).split())[:2000]
    if isinstance(error, Stopped | KeyboardInterrupt | GeneratorExit):
        return "stopped", line or "interrupted"
    return "failed", line if isinstance(error, UsageError) else f"{type(error).__name__}: {line}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
