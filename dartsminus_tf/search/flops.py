"""A search that is asked for a network of a given cost: the expected multiply-adds join the architecture loss.

    penalty(alpha) = weight * ((E(alpha) - T) / T)^2

E is the expectation of the network's multiply-adds under softmax(alpha) (`expected_multiply_adds` of the supernet), T
the target. Only the architecture step sees it; the weights never do. E need not be the cost of the network that is
derived: with `at_most` that costs no more than T.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from dartsminus_tf.config import FlopsConfig
from dartsminus_tf.spaces.supernet import SearchNetwork

MILLION = 1e6


def flops_penalty(supernet: SearchNetwork, config: FlopsConfig) -> Callable[[], tf.Tensor]:
    """A function that gives the penalty at alpha's present value; it raises UsageError where no costs are known."""
    target = config.target_mflops * MILLION

    def penalty() -> tf.Tensor:
        return config.weight * tf.square(supernet.expected_multiply_adds() / target - 1.0)

    return penalty


class ExpectedFlops(keras.callbacks.Callback):
    """Adds `expected_mflops`, E in millions of multiply-adds, to the epoch's logs."""

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["expected_mflops"] = float(self.model.supernet.expected_multiply_adds()) / MILLION
