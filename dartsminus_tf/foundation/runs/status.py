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

from dartsminus_tf.foundation.config.typed import Strict
from dartsminus_tf.foundation.disk.files import write_json
from dartsminus_tf.foundation.disk.lock import NAME as LOCK
from dartsminus_tf.foundation.disk.lock import RunLock
from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.command import this_command

Text = Annotated[str, Field(max_length=4000)]


class Status(Strict):
    """What the file says.

    Args:
        state: "lost" is never written: a running process that is gone.
        why: how it ended, on one line.
        work: what of the directory is done, such as an analysis by its mode; all of it where empty.
        position: the last state that was saved, such as "epoch 3, step 20".
        process, host: who is, or was, at work.
        start, end: of the work, as ISO 8601 in UTC; `start` is the first call's.
        resumed: how often it was taken up again.
        command: goes on with it, or repeats it.
    """

    state: Literal["running", "finished", "stopped", "failed", "lost"] = "running"
    why: Text | None = None
    work: Text = ""
    position: Text | None = None
    process: int
    host: Text
    start: Text
    end: Text | None = None
    resumed: int = 0
    command: Annotated[str, Field(max_length=10**6)]

    @property
    def brief(self) -> str:
        """A few words for a person: "stopped at epoch 3, step 20"."""
        where = ", ".join(filter(None, [self.work, self.position])) if self.state != "finished" else ""
        word = "killed or lost" if self.state == "lost" else self.state
        return f"{word} at {where}" if where else word

    @property
    def line(self) -> str:
        """One line: those words, and why."""
        return f"{self.brief} ({self.why})" if self.why else self.brief


class StatusFile:
    """The status and the lock of work in a directory, as a context: running inside, then how it ended.

    Args:
        directory: made if absent, when the work begins. Work that is refused before it wrote anything leaves none.
        part: what of the directory the work is about, such as a split; the whole by default.
        work: tells works of the same part apart; another one is no continuation.
    """

    def __init__(self, directory: Path, part: str = "", work: str = ""):
        self.work, self._made = work, False
        self._name = f"{directory}, {part}" if part else str(directory)
        self.path = directory / (f"status_{part}.json" if part else "status.json")
        self.lock = RunLock(directory, f".{part}.lock" if part else LOCK)
        self._status: Status | None = None

    def read(self) -> Status | None:
        """What became of the work; None where nothing readable says so."""
        status = self._stored()
        if status is not None and status.state == "running" and self.lock.is_free():
            again = self._stored()  # it may have ended meanwhile
            return status.model_copy(update={"state": "lost"}) if again == status else again
        return status

    def begin(self) -> Status | None:
        """Take the lock and say "running"; returns what the file said before. Prints it where that is no good end.

        Raises:
            UsageError: where another process is at work.
        """
        self._made = not self.path.parent.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lock.acquire()
        before = self._stored()
        if before is not None and before.state == "running":  # nobody is: this process holds the lock
            before = before.model_copy(update={"state": "lost"})
        goes_on = before is not None and before.state != "finished" and before.work == self.work
        status = Status(
            work=self.work,
            position=before.position if goes_on else None,
            process=os.getpid(),
            host=platform.node(),
            start=before.start if goes_on else _now(),
            resumed=before.resumed + 1 if goes_on else 0,
            command=_storable(this_command()),
        )
        try:
            self._write(status)
        except BaseException:
            self._status = None
            self.lock.close()
            raise
        if goes_on and before.state in ("lost", "failed"):
            say(f"{self._name}: {before.line}; it goes on now")
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
        try:
            with contextlib.suppress(OSError) if error is not None else contextlib.nullcontext():  # the first counts
                self._write(self._status.model_copy(update={"state": state, "why": why, "end": _now()}))
            if self._made and isinstance(error, UsageError):
                self._take_back()
        finally:
            self._status = None
            self.lock.close()

    def settle(self) -> None:
        """Say "finished" of work that is done, where the file does not: its process died between the two."""
        status = self.read()
        if status is not None and status.state not in ("running", "finished"):
            with contextlib.suppress(OSError):  # a result can be read where nothing can be written
                done = {"state": "finished", "why": None, "end": status.end or _now()}
                write_json(self.path, status.model_copy(update=done).model_dump())

    def _take_back(self) -> None:
        own = {self.path, self.lock.path}
        with contextlib.suppress(OSError):  # the reason of the refusal counts, and somebody may have come
            if set(self.path.parent.iterdir()) <= own:
                for path in own:
                    path.unlink(missing_ok=True)
                self.path.parent.rmdir()

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
    line = _storable(" ".join(str(error).split())[:2000])
    if isinstance(error, Stopped | KeyboardInterrupt | GeneratorExit):
        return "stopped", line or "interrupted"
    return "failed", line if isinstance(error, UsageError) else f"{type(error).__name__}: {line}"


def _storable(text: str) -> str:
    """Names of files may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
