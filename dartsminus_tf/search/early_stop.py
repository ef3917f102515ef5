"""DARTS with early stopping (section 4.3 of RobustDARTS, Zela et al., ICLR 2020).

With lambda(t) the largest eigenvalue of d2 L_val / d alpha2 after the t-th measurement and k the window,

    mean(t) = (lambda(t - k + 1) + ... + lambda(t)) / k
    stop after t  if  mean(t) > factor * mean(t - k)

and the genotype is that of measurement t - k, the last one before the eigenvalue rose: the paper stops where
mean(t - k) / mean(t) < 0.75 (1.3 in its code) and returns the architecture of t - k. Its released code differs: it
compares averages 4 measurements apart and takes an average to be that of its window's middle, so it returns
the genotype of t - 6 for k = 5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.config import EarlyStopConfig
from dartsminus_tf.search.hessian import AlphaHessian

COLUMN = "hessian_eigenvalue"
DIGITS = 6  # as `metrics.csv` keeps them: a resumed run decides on the same values


class Stop(NamedTuple):
    """Epochs from 0: the search stops after `stopped_epoch`, its result is the genotype after `genotype_epoch`."""

    stopped_epoch: int
    genotype_epoch: int


def find_stop(measured: Sequence[tuple[int, float]], config: EarlyStopConfig) -> Stop | None:
    """The first stop in `measured` [(epoch, eigenvalue), ...], oldest first; None: go on.

    Averages that are not positive, or that hold a NaN, stop nothing: their ratio means nothing.
    """
    window = config.window
    means = {
        end: float(np.mean([value for _, value in measured[end - window + 1 : end + 1]]))
        for end in range(window - 1, len(measured))
    }
    for now in range(2 * window - 1, len(measured)):
        before, genotype_epoch = means[now - window], measured[now - window][0]
        if genotype_epoch >= config.start_epoch and before > 0 and means[now] > config.factor * before:
            return Stop(measured[now][0], genotype_epoch)
    return None


def measured_rows(rows: Sequence[dict]) -> list[tuple[int, float]]:
    """(epoch, eigenvalue) of the rows of `metrics.csv` that have one."""
    return [(int(row["epoch"]), float(row[COLUMN])) for row in rows if row.get(COLUMN) not in (None, "")]


class EarlyStop(keras.callbacks.Callback):
    """Measures the eigenvalue, adds it to the epoch's logs, and ends `fit` when the rule says so.

    Args:
        config: window, factor, epochs between measurements.
        batch: (images [N, H, W, 3], labels [N]) of the validation half, the same all along.
        rows: the rows of `metrics.csv` before the first epoch.

    Attributes:
        stop: a `Stop` once the search is to end, which may be from the start (of a resumed run); else None.
    """

    def __init__(self, config: EarlyStopConfig, batch: tuple[tf.Tensor, tf.Tensor], rows: Sequence[dict] = ()):
        super().__init__()
        self.config, self.batch = config, batch
        self.measured = measured_rows(rows)
        self.stop = find_stop(self.measured, config)

    def set_model(self, model):
        super().set_model(model)
        self.hessian = AlphaHessian(model)

    def on_epoch_end(self, epoch, logs=None):
        if epoch % self.config.every_epochs:
            return
        value = round(self.hessian.largest_eigenvalue(*self.batch), DIGITS)
        self.measured.append((epoch, value))
        if logs is not None:
            logs[COLUMN] = value
        self.stop = find_stop(self.measured, self.config)
        if self.stop is not None:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.stop is not None:
            print(
                f"early stop after epoch {self.stop.stopped_epoch + 1}: the mean eigenvalue rose more than "
                f"{self.config.factor:g} times; result: the genotype of epoch {self.stop.genotype_epoch + 1}",
                flush=True,
            )

    def result_epoch(self, last: int) -> int:
        """The epoch whose genotype is the result, `last` without a stop."""
        return last if self.stop is None else self.stop.genotype_epoch
