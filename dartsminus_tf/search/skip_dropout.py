"""The rate of P-DARTS' dropout on `skip_connect` candidates (Chen et al., ICCV 2019, search space regularization)."""

import math

import keras

DECAY = 0.2


def skip_dropout_rate(initial: float, epoch: int, epochs: int, alpha_start_epoch: int = 0) -> float:
    """The rate in `epoch` (from 0) of a stage of `epochs`, s being the first epoch in which alpha moves:

    epoch < s   initial * (epochs - epoch - 1) / epochs
    after       initial * exp(-0.2 * (epoch - s))

    as in P-DARTS' released code: two decays, each for a new task of the weights.
    """
    if epoch < alpha_start_epoch:
        return initial * (epochs - epoch - 1) / epochs
    return initial * math.exp(-DECAY * (epoch - alpha_start_epoch))


class SkipDropoutCallback(keras.callbacks.Callback):
    """Sets the supernet's skip dropout at the start of every epoch and adds the rate to the epoch's logs."""

    def __init__(self, initial: float, epochs: int, alpha_start_epoch: int = 0):
        super().__init__()
        self.initial, self.epochs, self.alpha_start_epoch = initial, epochs, alpha_start_epoch

    def on_epoch_begin(self, epoch, logs=None):
        rate = skip_dropout_rate(self.initial, epoch, self.epochs, self.alpha_start_epoch)
        self.model.supernet.skip_dropout.rate.assign(rate)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["skip_dropout"] = float(self.model.supernet.skip_dropout.rate.numpy())
