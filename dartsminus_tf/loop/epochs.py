"""The loop of a search or a training: Keras' epochs and callbacks, and a run that survives whatever happens to it.

It differs from `keras.Model.fit` in that it starts anywhere in an epoch, saves after any step, and stops after any: an
interrupted epoch ends with the metrics that it would have had.
"""

import collections
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from dartsminus_tf.config import RuntimeConfig
from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.signals import StopRequest
from dartsminus_tf.foundation.runs.states import Position, place_of
from dartsminus_tf.loop import distribution
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.evaluation import evaluate
from dartsminus_tf.loop.faults import MOST_STEPS_BACK, check_finite, data_faults, not_finite
from dartsminus_tf.loop.records import Records
from dartsminus_tf.loop.reporting import progress_bar
from dartsminus_tf.loop.state import NotFinite, load_state, state_variables, to_array

SCORE = "val_accuracy"


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Args:
        batches: first step, counted over all epochs -> endless tf.data.Dataset from it.
        steps_per_epoch, epochs: how much.
        validation: tf.data.Dataset of what is evaluated; None: nothing is.
        validate_every: epochs from one validation to the next; the last epoch is always validated.
    """

    batches: Callable[[int], tf.data.Dataset]
    steps_per_epoch: int
    epochs: int
    validation: tf.data.Dataset | None
    validate_every: int = 1

    def validates(self, epoch: int) -> bool:
        """Whether `epoch` (from 0) ends with a validation."""
        due = (epoch + 1) % self.validate_every == 0 or epoch + 1 == self.epochs
        return due and self.validation is not None


class Loop:
    """Does `work` with a built and compiled model.

    Args:
        model: lists its optimizers in `model.optimizers`; its metrics are means over the epoch.
        work: data and length.
        checkpoints: the run's states.
        records: the run's tables, which the states keep.
        runtime: how often to save, what to do about a loss that is not finite, what to show.
    """

    def __init__(
        self, model: keras.Model, work: Work, checkpoints: Checkpoints, records: Records, runtime: RuntimeConfig
    ):
        self.model, self.work, self.runtime = model, work, runtime
        self.checkpoints, self.records = checkpoints, records
        self.strategy = model.distribute_strategy
        self.variables = state_variables(model)
        self.position = Position()
        self._newest: Path | None = None
        self._steps_back: collections.Counter[tuple[int, int]] = collections.Counter()

    def restore(self) -> Position:
        """Go to the newest whole state, if there is one; returns where the run stands."""
        if not self._to_newest():
            self._save(Position())
        return self.position

    def _to_newest(self) -> bool:
        """Go to the newest whole state; False where there is none."""
        state = self.checkpoints.restore(self.variables)
        self.records.restore(state)
        if state is None:
            return False
        self.position, self._newest = state.position, self.checkpoints.saved()[-1]
        return True

    def run(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Do what is left of the work.

        Raises:
            Stopped: after SIGINT or SIGTERM; the state is saved.
            UsageError: where data cannot be read or the loss is not finite.
        """
        self.model.stop_training = False
        self.model.make_train_function()
        bar = progress_bar(self.runtime.verbose)
        shown = {"verbose": bar, "epochs": self.work.epochs, "steps": self.work.steps_per_epoch}
        chain = keras.callbacks.CallbackList(list(callbacks), add_progbar=bar > 0, model=self.model, **shown)
        with StopRequest() as self._stop:
            chain.on_train_begin()
            try:
                with distribution.lost_workers(self.strategy):
                    while not self._finished():
                        self._try(chain)
            finally:
                chain.on_train_end()

    def _finished(self) -> bool:
        return self.model.stop_training or self.position.epoch >= self.work.epochs

    def _try(self, chain: keras.callbacks.CallbackList) -> None:
        """Epoch after epoch, until the end or the first value that is not finite."""
        first = self.position.epoch * self.work.steps_per_epoch + self.position.step
        iterator = iter(self.strategy.experimental_distribute_dataset(self.work.batches(first)))
        self._last_save = time.monotonic()
        try:
            while not self._finished():
                self._epoch(iterator, chain)
        except NotFinite as fault:
            self._step_back(fault)

    def _epoch(self, iterator, chain: keras.callbacks.CallbackList) -> None:
        start = self.position
        if start.step == 0:
            self.model.reset_metrics()
        self._epoch_start = time.monotonic() - start.seconds
        chain.on_epoch_begin(start.epoch, {"seconds": start.seconds})
        for step in range(start.step, self.work.steps_per_epoch):
            chain.on_train_batch_begin(step)
            logs = self._step(iterator)
            chain.on_train_batch_end(step, logs)
            self.position = Position(start.epoch, step + 1, time.monotonic() - self._epoch_start)
            self._save_where_due(self.variables)
        logs = {name: float(value) for name, value in self.model.get_metrics_result().items()}
        if self.work.validates(start.epoch):
            validated = {f"val_{name}": value for name, value in self._validate().items()}
            check_finite(validated, self.model, f"the validation of epoch {start.epoch + 1}")
            logs |= validated
        chain.on_epoch_end(start.epoch, logs)
        self._save(Position(start.epoch + 1), logs.get(SCORE))
        self._stop_where(distribution.any_worker(self.strategy, self._stop.requested))

    def _step(self, iterator) -> dict[str, float]:
        """One step of training; the position is that before it."""
        where = str(Position(self.position.epoch, self.position.step + 1))
        try:
            with data_faults(where):
                batch = next(iterator)  # apart from the step, which would be half done when its data fail
        except UsageError:
            self._save(self.position)
            raise
        logs = self.model.train_function(iter([batch]))
        logs = {name: float(value) for name, value in logs.items()}
        check_finite(logs, self.model, where)
        return logs

    def _validate(self) -> dict[str, float]:
        """Evaluate. The metrics' variables are used for it, so a state saved meanwhile gets their present values."""
        metrics = len(self.model.metrics_variables)
        kept = [to_array(variable) for variable in self.variables[-metrics:]]
        variables = [*self.variables[:-metrics], *kept]
        where = f"the validation of epoch {self.position.epoch + 1}"
        return evaluate(self.model, self.work.validation, where, lambda: self._save_where_due(variables))

    def to_best(self) -> int | None:
        """Go to the best state there is, for good: the work is done. Returns its epoch (from 0); None without a score.

        Raises:
            UsageError: where it belongs to another model.
        """
        if not (best := self.checkpoints.best()):
            return None
        load_state(self.checkpoints.directory / best["checkpoint"], self.variables)
        return best["epoch"]

    def test(self, data: tf.data.Dataset) -> dict[str, float]:
        """Evaluate the model as it is on `data`. The work is done: nothing is saved, and a stop begins this again.

        Raises:
            Stopped: after SIGINT or SIGTERM.
            UsageError: where data cannot be read, or a result is not finite.
        """
        with StopRequest() as self._stop, distribution.lost_workers(self.strategy):
            results = evaluate(self.model, data, "the test", self._stop_at_test)
        bad = {name: value for name, value in results.items() if not math.isfinite(value)}
        if bad:
            raise UsageError(f"The test must give finite values: train again with lower rates. Received: {bad}")
        return results

    def _stop_at_test(self) -> None:
        if distribution.any_worker(self.strategy, self._stop.requested):
            raise Stopped(f"stopped at the test; saved {self._newest}")

    def _save_where_due(self, variables: Sequence) -> None:
        """Save when it is time to or when the run is asked to stop, and stop in that case."""
        due = time.monotonic() - self._last_save >= 60 * self.runtime.save_minutes
        stop = distribution.any_worker(self.strategy, self._stop.requested)
        if stop or distribution.any_worker(self.strategy, due):
            self._save(self.position, variables=variables)
        self._stop_where(stop)  # a signal that came while it was saved is seen after the next step

    def _save(self, position: Position, score: float | None = None, variables: Sequence | None = None) -> None:
        try:
            tables = self.records.content()
            self._newest = self.checkpoints.save(position, variables or self.variables, score, tables)
        except NotFinite as fault:
            raise not_finite(str(fault), self.model, str(position)) from None
        self.position, self._last_save = position, time.monotonic()

    def _stop_where(self, asked: bool) -> None:
        if asked and self.position.epoch < self.work.epochs:
            raise Stopped(f"stopped at {self.position}; saved {self._newest}")

    def _step_back(self, fault: NotFinite) -> None:
        """Go on from the newest state that helps with half of its learning rates, or end the run."""
        line = f"{fault}. The last good checkpoint is {self._newest}"
        if self.runtime.on_nonfinite == "stop":
            raise UsageError(
                f"{line}: lower the learning rates in a new run, or let this one go on with half of them: "
                f"runtime.on_nonfinite=step_back"
            )
        self._leave_what_does_not_help(line)
        self._to_newest()
        place = (self.position.epoch, self.position.step)
        self._steps_back[place] += 1
        times = self._steps_back[place]
        for optimizer in self.model.optimizers:
            scale = getattr(optimizer, "inner_optimizer", optimizer).rate_scale
            scale.assign(scale * 0.5**times)
        say(f"{line}: going on from {self.position} with {0.5**times:g} of its learning rates")

    def _leave_what_does_not_help(self, line: str) -> None:
        """Put the newest states aside from which halving the rates cannot help, or has not."""
        saved = self.checkpoints.saved()
        helping = [path for path in saved if self._may_help(*place_of(path))]
        if not helping:
            raise UsageError(f"{line}, and halving the rates {MOST_STEPS_BACK} times from there did not help")
        for path in saved[saved.index(helping[-1]) + 1 :]:
            self.checkpoints.put_aside(path)

    def _may_help(self, epoch: int, step: int) -> bool:
        """Whether there is training from that state to the fault, and it has not failed too often."""
        validation_alone = (epoch, step) == (self.position.epoch, self.work.steps_per_epoch)
        return self._steps_back[epoch, step] < MOST_STEPS_BACK and not validation_alone
