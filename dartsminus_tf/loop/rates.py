"""Learning rates that are set once an epoch, as in the method's recipes."""

import math

import keras

from dartsminus_tf.config import WeightsConfig


def learning_rate(config: WeightsConfig, epoch: int, epochs: int) -> float:
    """The rate in `epoch` (from 0) of `epochs`: a linear warm-up, then

    cosine  min + (max - min) * (1 + cos(pi * e / E)) / 2
    linear  max * (1 - e / E), not below min
    """
    if epoch < config.warmup_epochs:
        return config.learning_rate * (epoch + 1) / config.warmup_epochs
    progress = epoch / epochs
    low, high = config.min_learning_rate, config.learning_rate
    if config.schedule == "linear":
        return max(high * (1 - progress), low)
    return low + (high - low) * (1 + math.cos(math.pi * progress)) / 2


class EpochLearningRate(keras.callbacks.Callback):
    """Sets the rate of `model.optimizer` at the start of every epoch and adds it to the epoch's logs."""

    def __init__(self, config: WeightsConfig, epochs: int):
        super().__init__()
        self.config, self.epochs = config, epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = learning_rate(self.config, epoch, self.epochs)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate.numpy())
