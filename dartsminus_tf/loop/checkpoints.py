"""The states of a run on disk: every variable of the model, its optimizers and its metrics, and where the run stands.

A state is one file, `epoch_0003_step_000120.<digest>.npz`: arrays `0`, `1`, ... in the order of `state_variables` and
the position as JSON. It is written beside its place, flushed to the disk and renamed, and its name holds the SHA-256
of its content: a file that is cut short or has a flipped bit is known without loading it.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.files import write_atomically

_NAME = re.compile(r"epoch_(\d+)_step_(\d+)\.([0-9a-f]{16})\.npz")
BEST = "best.json"


def to_array(variable: keras.Variable | np.ndarray) -> np.ndarray:
    """The value of a variable."""
    return np.asarray(variable.numpy() if isinstance(variable, keras.Variable) else variable)


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Args:
        epoch: counted from 0.
        step: training steps of the epoch that are done; all of them while its validation is still to come.
        seconds: that the epoch has taken so far.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step}"


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """All that a state holds, always in the same order. `model.optimizers` lists the model's optimizers."""
    optimizers = [variable for optimizer in model.optimizers for variable in optimizer.variables]
    return [*model.variables, *optimizers, *model.metrics_variables]


class Checkpoints:
    """The states in one directory.

    Args:
        directory: made when the first state is saved.
        keep: how many of the newest states stay. The best one, by the score that it was saved with, stays too.
        writes: False in a process that only reads (a worker that is not the chief).
        on_save: told the position of every state that was written.
    """

    def __init__(
        self, directory: Path, keep: int = 2, writes: bool = True, on_save: Callable[[str], None] | None = None
    ):
        self.directory, self.keep, self.writes, self.on_save = directory, keep, writes, on_save

    def save(self, position: Position, variables: Sequence, score: float | None = None) -> Path:
        """Write a state and delete what is no longer kept.

        Args:
            position: where the run stands.
            variables: variables, or arrays in their place, in the order of `state_variables`.
            score: the higher the better; None leaves the best state as it is.

        Returns:
            The state's file.

        Raises:
            OSError: where it cannot be written; the older states are untouched then.
        """
        arrays = {str(number): array for number, array in enumerate(map(to_array, variables))}
        content = io.BytesIO()
        np.savez(content, position=np.array(json.dumps(asdict(position))), **arrays)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()[:16]
        path = self.directory / f"epoch_{position.epoch:04d}_step_{position.step:06d}.{digest}.npz"
        if not self.writes:
            return path
        self.directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getbuffer())
        if score is not None and score > self.best().get("score", -np.inf):
            best = {"checkpoint": path.name, "epoch": position.epoch - 1, "score": score}
            write_atomically(self.directory / BEST, json.dumps(best) + "\n")
        self._delete_old(path)
        if self.on_save is not None:
            self.on_save(str(position))
        return path

    def _delete_old(self, newest: Path) -> None:
        same = newest.name.rpartition(".npz")[0].rpartition(".")[0]
        saved = self.saved()
        superseded = [path for path in saved if path != newest and path.name.startswith(f"{same}.")]
        kept = [path for path in saved if path not in superseded][-self.keep :]
        best = self.best().get("checkpoint")
        for path in saved:
            if path not in kept and path.name != best:
                path.unlink(missing_ok=True)

    def best(self) -> dict:
        """{"checkpoint": name, "epoch": from 0, "score": ...} of the best state; empty where none was scored."""
        try:
            best = json.loads((self.directory / BEST).read_text(encoding="utf-8"))
            return {"checkpoint": str(best["checkpoint"]), "epoch": int(best["epoch"]), "score": float(best["score"])}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def saved(self) -> list[Path]:
        """The states that are there, oldest first."""
        if not self.directory.is_dir():
            return []
        found = ((_NAME.fullmatch(path.name), path) for path in self.directory.iterdir())
        return [path for _, path in sorted(((int(m[1]), int(m[2])), path) for m, path in found if m)]

    def restore(self, variables: Sequence[keras.Variable]) -> Position | None:
        """Load the newest whole state; None where there is no state. Broken ones are named and put aside.

        Raises:
            UsageError: where every state is broken, or the newest whole one belongs to another model.
        """
        saved = self.saved()
        for path in reversed(saved):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest().startswith(_NAME.fullmatch(path.name)[3]):
                return _load(path, content, variables)
            print(f"checkpoint {path} is broken: the one before it is used", flush=True)
            if self.writes:
                path.rename(path.with_name(f"{path.name}.broken"))
        if saved:
            raise UsageError(
                f"No checkpoint is whole: delete the directory to start from the beginning. Received: {self.directory}"
            )
        return None


def load_state(path: Path, variables: Sequence[keras.Variable]) -> Position:
    """Load one state's file into `variables`, which are those of `state_variables`.

    Raises:
        UsageError: where it belongs to another model.
    """
    return _load(path, path.read_bytes(), variables)


def _load(path: Path, content: bytes, variables: Sequence[keras.Variable]) -> Position:
    other = UsageError(f"The checkpoint belongs to another model or version of this package. Received: {path}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            position = Position(**json.loads(str(arrays["position"])))
            values = [arrays[str(number)] for number in range(len(arrays.files) - 1)]
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile):
        raise other from None
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise other
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return position
