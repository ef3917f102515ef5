"""Typed run configs: what a YAML file or an override may say. Imports no TensorFlow.

Unknown keys are refused, ranges and rules between fields are checked when a config is built, and so is whether the
space's family has what is asked for.
"""

from dartsminus_tf.config.data import AugmentConfig, DataConfig, TrainDataConfig
from dartsminus_tf.config.run import RuntimeConfig, WeightsConfig
from dartsminus_tf.config.search import (
    AdamConfig,
    BetaConfig,
    EarlyStopConfig,
    FlopsConfig,
    ProgressiveConfig,
    SearchConfig,
    StageConfig,
)
from dartsminus_tf.config.train import TrainConfig
from dartsminus_tf.foundation.config.typed import Strict, dump_config, load_config

__all__ = [
    "AdamConfig",
    "AugmentConfig",
    "BetaConfig",
    "DataConfig",
    "EarlyStopConfig",
    "FlopsConfig",
    "ProgressiveConfig",
    "RuntimeConfig",
    "SearchConfig",
    "StageConfig",
    "Strict",
    "TrainConfig",
    "TrainDataConfig",
    "WeightsConfig",
    "dump_config",
    "load_config",
]
