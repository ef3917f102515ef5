"""The optimizer of a run: Model Garden's, with a learning rate of its own for the backbone."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras
from official.core import base_task
from official.core import config_definitions as cfg
from official.modeling import optimization


def build_optimizer(
    params: cfg.ExperimentConfig, task: base_task.Task, model: tf_keras.Model
) -> tf_keras.optimizers.legacy.Optimizer:
    """Optimizer, learning rate, clipping, EMA and loss scaling as the config says.

    With `task.model.backbone.dartsminus.learning_rate_multiplier` m the backbone moves by m times what the optimizer
    would move it by, which is its learning rate times m for every optimizer whose step is proportional to it.
    """
    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    backbone = params.task.model.backbone
    if backbone.type == "dartsminus" and backbone.dartsminus.learning_rate_multiplier != 1.0:
        multiplier = backbone.dartsminus.learning_rate_multiplier
        scale_steps(innermost(optimizer), model.backbone.trainable_weights, multiplier)
    return optimizer


def innermost(optimizer: tf_keras.optimizers.legacy.Optimizer) -> tf_keras.optimizers.legacy.Optimizer:
    """The optimizer that moves variables, inside loss scaling and EMA."""
    if isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        return innermost(optimizer.inner_optimizer)
    if isinstance(optimizer, optimization.ExponentialMovingAverage):
        return innermost(optimizer._optimizer)  # it has no public name for it
    return optimizer


def scale_steps(
    optimizer: tf_keras.optimizers.legacy.Optimizer, variables: Sequence[tf.Variable], multiplier: float
) -> None:
    """Makes `optimizer` move `variables` by `multiplier` times its step; its slots stay as they would be.

    Scaling gradients instead would do nothing to Adam, and would shift the balance of a global norm.
    """
    # A strategy with several devices hands over the copy on each.
    names = {part.ref() for variable in variables for part in (variable, *getattr(variable, "values", ()))}

    class Discriminative(type(optimizer)):
        def _resource_apply_dense(self, grad, var, *args, **kwargs):
            before = tf.identity(var.read_value()) if var.ref() in names else None
            step = super()._resource_apply_dense(grad, var, *args, **kwargs)
            if before is None:
                return step
            with tf.control_dependencies([step]):
                return var.assign(before + multiplier * (var.read_value() - before))

    optimizer.__class__ = Discriminative
