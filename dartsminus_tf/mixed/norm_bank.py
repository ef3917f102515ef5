"""The affine-free batch norms of a supernet cell, kept together."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from dartsminus_tf.ops.norm import EPSILON, MOMENTUM, normalise_batch, normalise_moving, update_moving


class NormBank(keras.layers.Layer):
    """The moving statistics of all affine-free batch norms of one cell, as rows of two [rows, C] variables.

    A cell of the supernet has dozens of these norms. Kept as rows, they are read by one unstack and updated by one
    assignment instead of dozens, which saves a third of the step's graph.
    """

    def __init__(self, channels: int, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.rows = 0

    def add_row(self) -> int:
        """Reserve one more norm before the bank is built; returns its row."""
        if self.built:
            raise RuntimeError("add_row must come before build.")
        self.rows += 1
        return self.rows - 1

    def build(self, input_shape=None):
        statistics = {
            "shape": (self.rows, self.channels),
            "trainable": False,
            "dtype": "float32",
            "autocast": False,
            "aggregation": "mean",
        }
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **statistics)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **statistics)

    def open(self, training: bool) -> "Norms":
        """Start one pass over the cell."""
        moving = map(tf.convert_to_tensor, (self.moving_mean, self.moving_variance))
        return Norms(*moving, training=training and self.trainable)

    def update(self, statistics: Sequence[tf.Tensor]) -> None:
        """Move the moving statistics towards those of a pass, `Norms.statistics()`."""
        for variable, value in zip((self.moving_mean, self.moving_variance), statistics, strict=False):
            update_moving(variable, value, MOMENTUM)


class Norms:
    """One pass through norms that are kept as rows: moving `means` and `variances` [rows, C]."""

    def __init__(self, means: tf.Tensor, variances: tf.Tensor, training: bool, epsilon: float = EPSILON):
        self._training, self._epsilon = training, epsilon
        self._ones, self._zeros = tf.ones([means.shape[-1]]), tf.zeros([means.shape[-1]])
        self._means, self._variances = tf.unstack(means), tf.unstack(variances)

    def __call__(
        self, x: tf.Tensor, row: int, scale: tf.Tensor | None = None, offset: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalise `x` [N, H, W, C] with norm `row`, multiply by `scale` [C] and add `offset` [C]."""
        scale = self._ones if scale is None else scale
        offset = self._zeros if offset is None else offset
        if not self._training:
            return normalise_moving(x, scale, offset, self._means[row], self._variances[row], self._epsilon)
        y, self._means[row], self._variances[row] = normalise_batch(x, scale, offset, self._epsilon)
        return y

    def statistics(self) -> list[tf.Tensor]:
        """Means and variances [rows, C] of the batch, where norms that were not applied keep the bank's; none where
        nothing is learned from the batch, or the cell (of `none` and identities) has no norm."""
        return [tf.stack(self._means), tf.stack(self._variances)] if self._training and self._means else []
