"""The exponential moving average of a network's variables, which is what is evaluated and kept in the end.

    average <- d * average + (1 - d) * value,    d = min(decay, (1 + t) / (10 + t)) after step t = 0, 1, ...

The moving statistics of batch norms are averaged with the weights that they belong to. The growing d lets a short run
forget its start; `keras.optimizers`' `use_ema` has neither.
"""

import keras
import tensorflow as tf


class WeightAverage(keras.layers.Layer):
    """Averages of all variables of `network`, themselves variables of this layer, so that a checkpoint has them.

    Args:
        network: a built model.
        decay: in (0, 1).
    """

    def __init__(self, network: keras.Model, decay: float, **kwargs):
        super().__init__(**kwargs)
        self.decay = decay
        self._groups = [list(network.trainable_variables), list(network.non_trainable_variables)]

    def build(self, input_shape=None):
        self.averages = [[self._copy(variable) for variable in group] for group in self._groups]

    def _copy(self, variable: keras.Variable) -> keras.Variable:
        start = lambda shape, dtype=None: tf.cast(variable, dtype)  # noqa: E731
        options = {
            "dtype": "float32",
            "autocast": False,
            "trainable": False,
            "initializer": start,
            "aggregation": "mean",
        }
        return self.add_weight(shape=variable.shape, name=f"average_{variable.name}", **options)

    def update(self, step: tf.Tensor) -> None:
        """Move the averages after optimizer step `step`, counted from 0."""
        t = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self.decay, (1.0 + t) / (10.0 + t))
        for average, variable in self._pairs():
            average.value.assign_sub(share * (average.value - tf.cast(variable.value, tf.float32)))

    def assign_to_network(self) -> None:
        """Give the network its averages."""
        for average, variable in self._pairs():
            variable.assign(tf.cast(average.value, variable.dtype))

    def values(self) -> list[list[tf.Tensor]]:
        """The averages of the trainable and of the other variables, in the network's order."""
        return [[tf.convert_to_tensor(average) for average in group] for group in self.averages]

    def _pairs(self):
        for averages, variables in zip(self.averages, self._groups, strict=True):
            yield from zip(averages, variables, strict=True)
