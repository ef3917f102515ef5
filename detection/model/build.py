"""A detector as a config says: its task, its network, and what moves the network's weights."""

from typing import NamedTuple

import tf_keras
from official.core import config_definitions as cfg
from official.core import task_factory

from detection.coco.annotations import Labels
from detection.model import task as task_lib  # registers the task for our config
from detection.model.optimizer import build_optimizer


class Parts(NamedTuple):
    """What a training and a restored checkpoint are made of."""

    task: task_lib.DartsMinusRetinaNetTask
    model: tf_keras.Model
    optimizer: tf_keras.optimizers.legacy.Optimizer


def build_parts(params: cfg.ExperimentConfig, labels: Labels | None = None, logging_dir: str | None = None) -> Parts:
    """Task, network and optimizer, in the strategy and precision that are in force.

    Args:
      params: checked config.
      labels: of the validation data, where something is to be evaluated.
      logging_dir: the run directory, for Model Garden's own summaries.
    """
    task = task_factory.get_task(params.task, labels=labels, logging_dir=logging_dir)
    model = task.build_model()
    return Parts(task, model, build_optimizer(params, task, model))
