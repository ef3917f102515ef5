"""A run's checkpoints: who is told of each, and the trained RetinaNet in the latest."""

from collections.abc import Callable

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.modeling import optimization

from dartsminus_tf.foundation.errors import UsageError
from detection.model.build import build_parts
from detection.run import devices


def note_saves(manager: tf.train.CheckpointManager, restored: int, note: Callable[[str], None]) -> None:
    """Has `note` called with "step N" for every checkpoint that `manager` writes, whoever asks it to.

    Args:
      manager: of the run's checkpoints.
      restored: the step that was restored, 0 where none was.
      note: takes the position.
    """
    if restored:
        note(f"step {restored}")
    save = manager.save

    def save_and_note(*args, **kwargs) -> str | None:
        path = save(*args, **kwargs)
        if path is not None:
            note(f"step {path.rpartition('-')[2]}")
        return path

    manager.save = save_and_note


def restored_model(params: cfg.ExperimentConfig, model_dir: str) -> tuple[tf_keras.Model, int]:
    """The run's RetinaNet with the weights that evaluation uses, and its step.

    These are the averaged ones where the run has an EMA: a checkpoint's model holds the raw weights, and the averages
    are slots of its optimizer.

    Raises:
      UsageError: no checkpoint, or one of another model.
    """
    path = tf.train.latest_checkpoint(model_dir)
    if path is None:
        raise UsageError(f"--model_dir has no checkpoint; run --mode=train_and_eval first. Received: {model_dir!r}")
    devices.set_precision(params)
    _, model, optimizer = build_parts(params)
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    items: dict = {"model": model, "global_step": step}
    averaged = isinstance(optimizer, optimization.ExponentialMovingAverage)
    if averaged:
        optimizer.shadow_copy(model)
        items["optimizer"] = optimizer
    status = tf.train.Checkpoint(**items).restore(path)
    try:
        status.expect_partial().assert_existing_objects_matched()
    except AssertionError:
        raise UsageError(f"the checkpoint is of another model. Received: {path!r}") from None
    if averaged:
        optimizer.assign_average_vars(model.trainable_variables)
    return model, int(step.numpy())
