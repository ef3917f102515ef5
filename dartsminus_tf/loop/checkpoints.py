"""The states of a run on disk: the newest and the best of them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from dartsminus_tf.foundation.disk.files import write_atomically
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.states import (
    BrokenState,
    Position,
    State,
    Tables,
    packed,
    place_of,
    read_state,
    saved_states,
)
from dartsminus_tf.loop.state import finite_arrays, load_state

BEST = "best.json"


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
        self._scores: dict[str, float | None] = {}  # of states that have been read or written
        self._aside: set[str] = set()

    def save(
        self, position: Position, variables: Sequence, score: float | None = None, tables: Tables | None = None
    ) -> Path:
        """Write a state and delete what is no longer kept.

        Args:
            position: where the run stands.
            variables: variables, or arrays in their place, in the order of `state_variables`.
            score: the higher the better; None for a state that is not to be the best.
            tables: {file name: rows} of the run so far.

        Returns:
            The state's file.

        Raises:
            NotFinite: where a variable holds a NaN or an infinite value; nothing is written then.
            OSError: where it cannot be written; the older states are untouched then.
        """
        name, content = packed(State(position, finite_arrays(variables), score, tables))
        path = self.directory / name
        if not self.writes:
            return path
        self.directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        self._scores[path.name] = score
        self._delete_old(path)
        if self.on_save is not None:
            self.on_save(str(position))
        return path

    def _delete_old(self, newest: Path) -> None:
        saved = self.saved()
        superseded = [path for path in saved if path != newest and place_of(path) == place_of(newest)]
        kept = [path for path in saved if path not in superseded][-self.keep :]
        best = self.best()
        if best and best != self._noted_best():
            write_atomically(self.directory / BEST, json.dumps(best) + "\n")
        for path in saved:
            if path not in kept and path.name != best.get("checkpoint"):
                path.unlink(missing_ok=True)

    def best(self) -> dict:
        """{"checkpoint": name, "epoch": from 0, "score": ...} of the best whole state; empty where none was scored.

        By the scores in the states; `best.json` only says it to people.
        """
        scores = {path: score for path in self.saved() if (score := self._score(path)) is not None}
        if not scores:
            return {}
        path = max(scores, key=scores.__getitem__)
        return {"checkpoint": path.name, "epoch": place_of(path)[0] - 1, "score": scores[path]}

    def _score(self, path: Path) -> float | None:
        if path.name not in self._scores:
            try:
                state = read_state(path)
            except UsageError:
                return None
            noted = self._noted_best()
            of_old = state.tables is None and noted.get("checkpoint") == path.name  # no scores in the states then
            self._scores[path.name] = noted["score"] if of_old else state.score
        return self._scores[path.name]

    def _noted_best(self) -> dict:
        try:
            best = json.loads((self.directory / BEST).read_text(encoding="utf-8"))
            return {"checkpoint": str(best["checkpoint"]), "epoch": int(best["epoch"]), "score": float(best["score"])}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}

    def saved(self) -> list[Path]:
        """The states that are there, oldest first."""
        return [path for path in saved_states(self.directory) if path.name not in self._aside]

    def newest(self) -> State | None:
        """The newest whole state, whatever the model; None where there is none. Nothing is changed."""
        for path in reversed(self.saved()):
            try:
                return read_state(path)
            except BrokenState:
                continue
        return None

    def restore(self, variables: Sequence[keras.Variable]) -> State | None:
        """Load the newest whole state; None where there is no state. Broken ones are named and put aside.

        Raises:
            UsageError: where every state is broken, or the newest whole one belongs to another model.
        """
        saved = self.saved()
        for path in reversed(saved):
            try:
                return load_state(path, variables)
            except BrokenState as error:
                say(f"{error}; the one before it is used")
                self.put_aside(path)
        if saved:
            raise UsageError(
                f"No checkpoint is whole: delete the directory to start from the beginning. Received: {self.directory}"
            )
        return None

    def put_aside(self, path: Path) -> None:
        """A state is no longer to be used: it is kept under another name."""
        self._aside.add(path.name)
        if self.writes:
            path.rename(path.with_name(f"{path.name}.broken"))
