"""Schedules of beta, the weight of the auxiliary skip (section 3.2 of the paper; cosines as in the released code).

With e the epoch counted from 0, Ts the start, Tm the number of epochs and b0 the initial value:

    linear       b0 * (Tm - e) / (Tm - Ts)
    cosine       b0 * (1 + cos(pi * (e - Ts) / (Tm - Ts))) / 2
    slow_cosine  b0 * cos(pi * (e - Ts) / (2 * (Tm - Ts)))
    constant     b0

The released cosines lack the `- Ts`, which sends them astray for Ts > 0; at Ts = 0 ours are equal to them.
"""

import math
from dataclasses import dataclass

import keras

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.errors import UsageError

SCHEDULES = ("linear", "cosine", "slow_cosine", "constant")


@dataclass(frozen=True)
class BetaSchedule:
    """`schedule(epoch)` is beta in that epoch.

    Args:
        max_epoch: Tm, the number of epochs of the search.
        initial: b0, at least 0.
        schedule: one of SCHEDULES.
        start_epoch: Ts; before it beta is b0.
        stop_epoch: after it beta keeps the value it had there; None means never.
    """

    max_epoch: int
    initial: float = 1.0
    schedule: str = "linear"
    start_epoch: int = 0
    stop_epoch: int | None = None

    def __post_init__(self):
        if self.schedule not in SCHEDULES:
            raise UsageError(f"schedule must be one of {', '.join(SCHEDULES)}. Received: {self.schedule!r}")
        if not 0 <= self.start_epoch < self.max_epoch:
            raise UsageError(f"start_epoch must be in 0..{self.max_epoch - 1}. Received: {self.start_epoch}")
        if self.stop_epoch is not None and self.stop_epoch < self.start_epoch:
            raise UsageError(
                f"stop_epoch must not come before start_epoch {self.start_epoch}. Received: {self.stop_epoch}"
            )
        if self.initial < 0:
            raise UsageError(f"initial must be at least 0. Received: {self.initial}")

    def __call__(self, epoch: int) -> float:
        if self.stop_epoch is not None:
            epoch = min(epoch, self.stop_epoch)
        if epoch < self.start_epoch or self.schedule == "constant":
            return self.initial
        progress = min((epoch - self.start_epoch) / (self.max_epoch - self.start_epoch), 1.0)
        shape = {
            "linear": 1 - progress,
            "cosine": (1 + math.cos(math.pi * progress)) / 2,
            "slow_cosine": math.cos(math.pi * progress / 2),
        }
        return self.initial * shape[self.schedule]


class BetaCallback(keras.callbacks.Callback):
    """Sets the supernet's beta at the start of every epoch and adds it to the epoch's logs."""

    def __init__(self, schedule: BetaSchedule):
        super().__init__()
        self.schedule = schedule

    @classmethod
    def of(cls, config: SearchConfig) -> "BetaCallback":
        """The beta of every epoch as `config` says; plain DARTS has none."""
        beta = config.beta
        initial = beta.initial if config.method == "darts-" else 0.0
        return cls(BetaSchedule(config.epochs, initial, beta.schedule, beta.start_epoch, beta.stop_epoch))

    def on_epoch_begin(self, epoch, logs=None):
        self.model.supernet.beta.assign(self.schedule(epoch))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["beta"] = float(self.model.supernet.beta.numpy())
