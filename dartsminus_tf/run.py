"""A run directory: what was asked for, with what versions, what was measured, and what came out.

config.yaml    the resolved config         versions.json  package versions, seed
metrics.csv    one row an epoch            checkpoints/   the newest states of the run and the best
.lock          who is at work in it
result.json    written last: the run is finished
"""

import contextlib
import csv
import io
import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

from dartsminus_tf.config import Strict, dump_config, load_yaml
from dartsminus_tf.errors import UsageError
from safeguards.run_lock import InUse, RunLock

PACKAGES = ("dartsminus_tf", "tensorflow", "keras", "tensorflow-datasets", "numpy")


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Write `content` to `path` so that a reader sees the old or the new file, never a part of one.

    It is on the disk when this returns. Where it cannot be written, OSError is raised and the old file stays.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself
    finally:
        os.close(directory)


def readable_json(tree: dict) -> str:
    """JSON with one line for each key of `tree`."""
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in tree.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter to a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


class RunDirectory:
    """The directory of one run, made or resumed.

    Args:
        path: the directory; made if absent.
        config: the run's resolved config. Everything in it but `runtime` must equal what the directory was made with.
        parent: the directory of the run that this one is a part of; opened with it.

    Raises:
        UsageError: where the directory belongs to another config, or is not empty and no run directory.
    """

    def __init__(self, path: str | Path, config: Strict, parent: "RunDirectory | None" = None):
        self.path, self.config, self.parent = Path(path), config, parent
        self._lock = RunLock(self.path)
        stored = self.path / "config.yaml"
        if stored.exists():
            self._check_same(stored)
        elif self.path.exists() and not self._is_free():
            raise UsageError(f"model_dir must be a run directory, an empty one or a new one. Received: {self.path}")

    def _is_free(self) -> bool:
        """Whether only what a process leaves that was killed while it made the directory is there."""
        return self.path.is_dir() and all(child.name.startswith(".") for child in self.path.iterdir())

    def open(self) -> "RunDirectory":
        """Create the directory, lock it, and write what was asked for. Nothing is written before this call.

        Raises:
            UsageError: where it cannot be written to, or another process is at work in it.
        """
        if self.parent is not None:
            self.parent.open()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            for folder in (self.path, self.path / "checkpoints", self.path / "alphas"):
                for leftover in folder.glob(".*.tmp"):  # of a process that was killed
                    leftover.unlink()
            write_atomically(self.path / "config.yaml", dump_config(self.config))
            write_atomically(self.path / "versions.json", readable_json(versions()))
        except InUse as reason:
            raise UsageError(f"model_dir is {reason}. Received: {self.path}") from None
        except OSError as error:
            raise UsageError(f"Cannot write to model_dir ({error.strerror}). Received: {self.path}") from None
        return self

    def close(self) -> None:
        """Let other processes in."""
        self._lock.close()

    def __enter__(self) -> "RunDirectory":
        return self.open()

    def __exit__(self, *error) -> None:
        self.close()

    def _check_same(self, stored: Path) -> None:
        before, now = load_yaml(stored), self.config.model_dump(mode="json")
        # Keys that the package has gained since the run began have their defaults there.
        with contextlib.suppress(ValidationError):
            before = type(self.config).model_validate(before).model_dump(mode="json")
        differing = sorted(_differences(_without_runtime(before), _without_runtime(now)))
        if differing:
            raise UsageError(
                f"{self.path} belongs to a run with another config (it differs in {', '.join(differing[:3])}): "
                "choose another --model_dir, or the config it was made with."
            )

    @property
    def result(self) -> dict | None:
        """What a finished run wrote; None before."""
        path = self.path / "result.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        except (OSError, ValueError) as error:
            raise UsageError(f"A file of the run is damaged ({error}): delete it. Received: {path}") from None

    def write_result(self, result: dict) -> None:
        """Mark the run as finished."""
        self.write_json("result.json", result)

    def write_json(self, name: str, value) -> None:
        """Write one JSON file of the directory."""
        write_atomically(self.path / name, readable_json(value))


def csv_text(rows: Sequence[dict]) -> str:
    """`rows` as CSV; columns are those of the first row and whatever later ones add. None is an empty field."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class MetricsTable:
    """`metrics.csv`: one row an epoch. Rows of epochs that are to be run again are dropped when it is opened."""

    def __init__(self, path: Path, initial_epoch: int = 0):
        self.path = path
        self.rows: list[dict] = []
        if path.exists():
            self.rows = [row for row in self._read() if int(row["epoch"]) < initial_epoch]

    def _read(self) -> list[dict]:
        try:
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if all((row.get("epoch") or "").isdecimal() for row in rows):
                return rows
        except (OSError, UnicodeDecodeError, csv.Error):
            rows = []
        raise UsageError(f"A file of the run is damaged: delete its last rows, or it. Received: {self.path}")

    def append(self, row: dict) -> None:
        """Add the row of one epoch, in place of any of it or of later ones."""
        self.rows = [before for before in self.rows if int(before["epoch"]) < row["epoch"]] + [row]
        write_atomically(self.path, csv_text(self.rows))


def _without_runtime(tree: dict) -> dict:
    seed = (tree.get("runtime") or {}).get("seed")
    return {**{key: value for key, value in tree.items() if key != "runtime"}, "seed": seed}


def _differences(before, now, prefix: str = "") -> set[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = set(before) | set(now)
        return set().union(*(_differences(before.get(k), now.get(k), f"{prefix}.{k}" if prefix else k) for k in keys))
    return set() if before == now else {prefix}
