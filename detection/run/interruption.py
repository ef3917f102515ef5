"""A training that stops after any step when asked to, saves every few minutes, and survives broken checkpoints."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
from official.core import base_trainer

from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.foundation.runs.signals import StopRequest
from detection.run import checkpoints

_INDEX = re.compile(r"ckpt-(\d+)\.index")


class StoppableTrainer(base_trainer.Trainer):
    """Model Garden's trainer, whose loop runs step by step instead of as one graph, with a look around after each.

    Attributes:
      stop: the request that it obeys.
      save: writes a checkpoint of this step and returns its path; None in an evaluation.
      save_minutes: how often it saves between the run's own checkpoints.
    """

    stop = StopRequest()
    save: Callable[[], str] | None = None
    save_minutes = 10.0
    _last_save = 0.0
    _saved: str | None = None

    def create_train_loop_fn(self):
        """See orbit; `train_tf_while_loop` does not matter."""
        step = tf.function(self.train_step)
        self._last_save = time.monotonic()

        def loop(iterator, num_steps) -> None:
            for _ in range(int(num_steps)):
                step(iterator)
                self._look_around()

        return loop

    def _look_around(self) -> None:
        due = time.monotonic() - self._last_save >= 60 * self.save_minutes
        if due or self.stop.requested:
            path = self.save()
            self._last_save = time.monotonic()
            self._stop_where_asked(path)

    def eval_begin(self):
        """Called before an evaluation; what is saved has the statistics that are evaluated."""
        self._average_statistics()
        self._save_what_was_trained()
        self._forget_the_evaluation_before()
        super().eval_begin()

    def _average_statistics(self) -> None:
        """Devices have moved the batch norms' statistics each on its own."""
        if hasattr(self.model.backbone, "average_statistics"):  # not Model Garden's own backbones
            self.model.backbone.average_statistics()

    def _save_what_was_trained(self) -> None:
        """Nothing since the last checkpoint is lost by a stop in the evaluation."""
        if self.save is not None:
            self._saved = self.save()

    def _forget_the_evaluation_before(self) -> None:
        """Its result does not stand for this one, where this one sees no image."""
        self.task.coco_metric.last = None

    def eval_reduce(self, state=None, step_outputs=None):
        """Called after every step of an evaluation."""
        self._stop_where_asked(self._saved)
        return super().eval_reduce(state, step_outputs)

    def _stop_where_asked(self, path: str | None) -> None:
        if self.stop.requested:
            outcome = f"saved {path}" if path else "nothing was written"
            raise Stopped(f"stopped at step {int(self.global_step.numpy())}; {outcome}")


def refuse_poison(manager: tf.train.CheckpointManager, variables: Callable[[], Sequence[tf.Variable]]) -> None:
    """Has `manager` refuse to save `variables` that are not all finite, whoever asks it to.

    Raises (in `manager.save`):
      UsageError: naming the variable and the last checkpoint.
    """
    save = manager.save

    def save_finite(*args, **kwargs) -> str | None:
        for variable in variables():
            if variable.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(variable))):
                raise UsageError(
                    f"training diverged; lower trainer.optimizer_config.learning_rate. The last good checkpoint is "
                    f"{manager.latest_checkpoint}. Received: values of {variable.name} that are not finite"
                )
        return save(*args, **kwargs)

    manager.save = save_finite


def drop_broken_checkpoints(model_dir: str, say: Callable[[str], None]) -> None:
    """Puts aside the newest checkpoints of a run until one is whole, and names them.

    Raises:
      UsageError: there are checkpoints, and none is whole.
    """
    found = ((_INDEX.fullmatch(path.name), path) for path in Path(model_dir).iterdir())
    paths = [str(path)[: -len(".index")] for _, path in sorted((int(m[1]), path) for m, path in found if m)]
    whole = list(paths)
    while whole and checkpoints.damage(whole[-1]) is not None:
        say(f"checkpoint {whole[-1]} is broken: the one before it is used")
        broken = whole.pop()
        for part in Path(model_dir).glob(f"{Path(broken).name}.*"):
            part.rename(part.with_name(f"broken.{part.name}"))
    if whole:
        tf.compat.v1.train.update_checkpoint_state(model_dir, whole[-1], whole)
    elif paths:
        raise UsageError(
            f"no checkpoint is whole; delete the folder to start from the beginning. Received: {model_dir!r}"
        )
