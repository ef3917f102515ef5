"""A run directory: what was asked for, with what versions, what was measured, how it ended, and what came out.

config.yaml    the resolved config (params.yaml of a detector)
versions.json  seed and package versions of the first call, and of later calls where they differ
data.json      what the data of the run hold, wherever they lie
status.json    whether it runs, finished, stopped or failed, and why       .lock  who is at work in it
metrics.csv    one row an epoch          checkpoints/  the newest states of the run and the best
result.json    written last: the run is finished
"""

import contextlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

from dartsminus_tf.foundation.config.settings import differences, lookup, read_mapping
from dartsminus_tf.foundation.config.typed import Strict
from dartsminus_tf.foundation.config.yaml_text import dump_yaml
from dartsminus_tf.foundation.disk.files import sweep, write_atomically, write_json
from dartsminus_tf.foundation.disk.folders import require_place
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import Result, stored_json, stored_result, write_result
from dartsminus_tf.foundation.runs.status import StatusFile


@dataclass(frozen=True)
class RunKind:
    """What tells runs of one kind from others.

    Args:
        file: the name of the settings.
        free: beginnings of dotted keys that may differ from call to call; anything else makes another run.
        bound: keys that may not, although `free` covers them.
        lengths: keys of how long a run is, which its schedules follow.
        seed: the key of the seed.
        packages: whose versions matter to a result.
        as_now: brings settings that an older version stored into the form that settings have now; those have it.
    """

    file: str = "config.yaml"
    free: tuple[str, ...] = ("runtime.", "data.data_dir", "data.download")
    bound: tuple[str, ...] = ("runtime.seed", "runtime.xla")
    lengths: tuple[str, ...] = ("epochs",)
    seed: str = "runtime.seed"
    packages: tuple[str, ...] = ("dartsminus_tf", "tensorflow", "keras", "tensorflow-datasets", "numpy")
    as_now: Callable[[dict], dict] = dict

    def require_same(self, before: dict, now: dict, path: Path, sections: Sequence[str] = ()) -> None:
        """Refuse a directory that belongs to other settings.

        Args:
            before, now: settings, of the directory and of this call.
            path: the directory.
            sections: beginnings of the dotted keys that are compared; all where empty.

        Raises:
            UsageError: naming the first keys that differ.
        """
        differing = {
            key: pair
            for key, pair in differences(self.as_now(before), now).items()
            if (key in self.bound or not key.startswith(self.free)) and key.startswith(tuple(sections) or "")
        }
        if differing:
            shown = ", ".join(f"{key} ({old!r} -> {new!r})" for key, (old, new) in list(differing.items())[:3])
            way = "choose another --model_dir, or the config it was made with."
            if set(differing) <= set(self.lengths):
                way = f"its schedules follow its length, so another length is a new run: {way}"
            raise UsageError(f"{path} belongs to a run of another config (it differs in {shown}): {way}")


def versions(packages: Sequence[str] = RunKind.packages) -> dict[str, str]:
    """Versions of Python and of `packages`."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


class RunDirectory:
    """The directory of one run, made or resumed. As a context it is opened, and closed by how the block ends.

    Args:
        path: the directory; made if absent.
        config: the run's resolved config, typed or plain. What `kind` binds must equal what the directory was made
            with.
        kind: the kind of run.
        parent: the directory of the run that this one is a part of; opened with it.

    Raises:
        UsageError: where the directory belongs to another config, or is not empty and no run directory.
    """

    def __init__(
        self,
        path: str | Path,
        config: Strict | dict,
        kind: RunKind = RunKind(),  # noqa: B008  frozen
        parent: "RunDirectory | None" = None,
    ):
        self.path, self.config, self.kind, self.parent = Path(path), config, kind, parent
        self.status = StatusFile(self.path)
        if (self.path / kind.file).exists():
            stored = self._with_new_keys(kind.as_now(stored_settings(self.path, kind)))
            kind.require_same(stored, self.settings, self.path)
        elif self.path.exists() and not self._is_free():
            raise UsageError(f"model_dir must be a run directory, an empty one or a new one. Received: {self.path}")
        elif not self.path.exists():
            require_place(self.path, "model_dir")

    @property
    def settings(self) -> dict:
        """The config as plain data."""
        return self.config.model_dump(mode="json") if isinstance(self.config, Strict) else self.config

    def _is_free(self) -> bool:
        """Whether only what a process leaves that was killed while it made the directory is there."""
        if not self.path.is_dir():
            return False
        return all(child.name.startswith(".") or child == self.status.path for child in self.path.iterdir())

    def _with_new_keys(self, stored: dict) -> dict:
        """`stored`, and keys that the package has gained since the run began: their defaults."""
        if isinstance(self.config, Strict):
            with contextlib.suppress(ValidationError):
                return type(self.config).model_validate(stored).model_dump(mode="json")
        return stored

    def open(self) -> "RunDirectory":
        """Create the directory, lock it, and write what was asked for. Nothing is written before this call.

        Raises:
            UsageError: where it cannot be written to, or another process is at work in it.
        """
        if self.parent is not None:
            self.parent.open()
        if self.status.lock.held:
            return self
        try:
            self.status.begin()
            for folder in (self.path, self.path / "checkpoints", self.path / "alphas"):
                sweep(folder)
            write_atomically(self.path / self.kind.file, dump_yaml(self.settings))
            self._write_versions()
        except BaseException as error:
            self.close(error)
            if not isinstance(error, OSError):
                raise
            raise UsageError(f"Cannot write to model_dir ({error.strerror}). Received: {self.path}") from None
        return self

    def note(self, position: str) -> None:
        """A state was saved at `position`: in status.json, and in that of the run that this one is a part of."""
        self.status.note(position)
        if self.parent is not None:
            self.parent.note(f"{self.path.name}, {position}")

    def _write_versions(self) -> None:
        """Those of the first call stay; later ones are added where they differ from all before."""
        path, now = self.path / "versions.json", versions(self.kind.packages)
        first = stored_json(path) if path.exists() else now
        stored = {"seed": lookup(self.settings, self.kind.seed), **first}
        later = stored.get("resumed_with", [])
        if not any(now.items() <= known.items() for known in (stored, *later)):
            stored["resumed_with"] = [*later, now]
        write_json(path, stored)

    def close(self, error: BaseException | None = None) -> None:
        """Say how the run ended, by the exception that ended it, and let other processes in."""
        self.status.end(error)

    def __enter__(self) -> "RunDirectory":
        return self.open()

    def __exit__(self, kind, error, traceback) -> None:
        self.close(error)

    def finished(self, kind: type[Result] = Result) -> dict | None:
        """What a finished run wrote, before anything is done again; None before. `status.json` says "finished" then.

        Raises:
            UsageError: where what it wrote is no result of that kind.
        """
        result = stored_result(self.path, kind)
        if result is not None:
            self.status.settle()
        return result

    def write_result(self, result: dict, files: Mapping[str, str] | None = None) -> dict:
        """Mark the run as finished; returns what is written, with the digests of `files` (see `results`)."""
        return write_result(self.path, result, files)

    def write_json(self, name: str, value) -> None:
        """Write one JSON file of the directory."""
        write_json(self.path / name, value)


def stored_settings(path: Path, kind: RunKind = RunKind()) -> dict | None:  # noqa: B008  frozen
    """The settings that the run in `path` was started with; None where there is none.

    Raises:
        UsageError: where `path` is a file, or its settings are damaged.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"model_dir must be a folder. Received: {path}")
    file = path / kind.file
    if not file.is_file():
        return None
    settings = read_mapping(file)
    if not settings:
        raise UsageError(f"The settings of this run are damaged: they hold no keys and values. Received: {file}")
    return settings
