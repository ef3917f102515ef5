"""The files of a run's states: what they are called and what they hold.

A state is one file, `epoch_0003_step_000120.<digest>.npz`: arrays `0`, `1`, ... in the order of `state_variables`, and
`position`, JSON with the position, the score and the tables. Its name holds the SHA-256 of its content: a file that is
cut short or has a flipped bit is known without being believed. Values that are not finite are never saved, and refused
where an older version saved them.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from dartsminus_tf.foundation.disk.tables import Row
from dartsminus_tf.foundation.errors import UsageError

CHECKPOINTS = "checkpoints"  # the folder of the states in a run directory

_NAME = re.compile(r"epoch_(\d+)_step_(\d+)\.([0-9a-f]{16})\.npz")
Tables = Mapping[str, Sequence[Row]]


class BrokenState(UsageError):
    """A state's file is not what was saved, or holds values that are not finite."""


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


@dataclass(frozen=True)
class State:
    """What a file holds.

    Args:
        position: where the run stood.
        values: arrays in the order of `state_variables`.
        score: of the validation that it was saved after; None elsewhere.
        tables: {file name: rows} of the run up to there; None in states of versions that did not keep them.
    """

    position: Position
    values: list[np.ndarray]
    score: float | None = None
    tables: Tables | None = None

    @property
    def stem(self) -> str:
        """The beginning of its file's name."""
        return f"epoch_{self.position.epoch:04d}_step_{self.position.step:06d}"

    def load_into(self, variables: Sequence[Any]) -> bool:
        """Give `variables` the values; False, and nothing is changed, where it is of another model."""
        if [value.shape for value in self.values] != [tuple(variable.shape) for variable in variables]:
            return False
        for variable, value in zip(variables, self.values, strict=True):
            variable.assign(value)
        return True


def is_finite(array: np.ndarray) -> bool:
    """Whether all its numbers are."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def packed(state: State) -> tuple[str, memoryview]:
    """The name of a state's file, and its content."""
    about = asdict(state.position) | {"score": state.score, "tables": state.tables}
    arrays = {str(number): array for number, array in enumerate(state.values)}
    content = io.BytesIO()
    np.savez(content, position=np.array(json.dumps(about)), **arrays)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()[:16]
    return f"{state.stem}.{digest}.npz", content.getbuffer()


def place_of(path: Path) -> tuple[int, int] | None:
    """(epoch, step) by the name of a state's file; None of other names."""
    found = _NAME.fullmatch(path.name)
    return (int(found[1]), int(found[2])) if found else None


def saved_states(folder: Path) -> list[Path]:
    """The files of the states in a folder, oldest first."""
    found = [path for path in folder.iterdir() if place_of(path)] if folder.is_dir() else []
    return sorted(found, key=lambda path: (place_of(path), path.name))


def read_state(path: Path) -> State:
    """What the file of a state holds, whatever the model.

    Raises:
        BrokenState: where its content is not that of its name, or is not finite.
        UsageError: where it is whole, but of another version of this package.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenState(f"The checkpoint cannot be read ({error.strerror}). Received: {path}") from None
    found = _NAME.fullmatch(path.name)
    if found is None or not hashlib.sha256(content).hexdigest().startswith(found[3]):
        raise BrokenState(f"The checkpoint is broken: its content is not what was saved. Received: {path}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            about = json.loads(str(arrays["position"]))
            values = [arrays[str(number)] for number in range(len(arrays.files) - 1)]
        score, tables = about.pop("score", None), about.pop("tables", None)
        if about.keys() != {field.name for field in fields(Position)}:
            raise ValueError(about)
    except (KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile):
        raise UsageError(f"The checkpoint belongs to another version of this package. Received: {path}") from None
    if not all(map(is_finite, values)):
        raise BrokenState(f"The checkpoint is broken: it holds values that are not finite. Received: {path}")
    return State(Position(**about), values, score, tables)
