"""A run's checkpoints: who is told of each, and the trained RetinaNet in the latest."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.modeling import optimization

from dartsminus_tf.foundation.errors import UsageError, brief
from detection.model.build import build_parts
from detection.run import devices
from detection.run.directory import GO_ON, latest_checkpoint


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


def whole_checkpoint(model_dir: str) -> str:
    """The run's latest checkpoint, for reading alone: what is damaged stays where it is, for a training to go on over.

    Raises:
      UsageError: there is none, or it is damaged, or its weights are not finite.
    """
    path = str(latest_checkpoint(model_dir))
    problem = damage(path)
    if problem is not None:
        raise UsageError(f"the run's latest checkpoint cannot be used ({problem}); {GO_ON}. Received: {path!r}")
    return path


def damage(path: str) -> str | None:
    """What is wrong with a checkpoint; None where it is whole.

    Every tensor is read: TensorFlow keeps a checksum of each. Values that are not finite are damage too.

    Args:
      path: without the endings of its files.
    """
    try:
        reader = tf.train.load_checkpoint(path)
        for name in sorted(reader.get_variable_to_shape_map()):
            value = np.asarray(reader.get_tensor(name))
            if not _is_finite(value):
                return f"{name.partition('/.ATTRIBUTES')[0]} is not finite"
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        return brief(error)
    return None


def _is_finite(value: np.ndarray) -> bool:
    return value.dtype.kind in "iubSO" or bool(np.isfinite(value.astype(np.float64)).all())  # whole numbers, texts


def restored_model(params: cfg.ExperimentConfig, model_dir: str) -> tuple[tf_keras.Model, int]:
    """The run's RetinaNet with the weights that evaluation uses, and its step.

    These are the averaged ones where the run has an EMA: a checkpoint's model holds the raw weights, and the averages
    are slots of its optimizer.

    Raises:
      UsageError: no whole checkpoint, or one of another model.
    """
    path = whole_checkpoint(model_dir)
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
