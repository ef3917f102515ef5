"""Dropout on candidate skips, as P-DARTS has it; its rate is scheduled in `search.skip_dropout`."""

import keras
import tensorflow as tf

from dartsminus_tf.ops import step


class SkipDropout(keras.layers.Layer):
    """Dropout of single values on the output of `skip_connect` (P-DARTS): x * Bernoulli(1 - r) / (1 - r).

    One layer serves all skips of a supernet; every call draws anew.

    Attributes:
        rate: r, scalar in [0, 1); not trained, set by a schedule once an epoch.
    """

    def __init__(self, rate: float, **kwargs):
        super().__init__(**kwargs)
        self.initial_rate = rate

    def build(self, input_shape=None):
        self.rate = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.initial_rate),
            trainable=False,
            name="rate",
            dtype="float32",
            autocast=False,
        )

    def call(self, x):
        keep = 1.0 - tf.convert_to_tensor(self.rate)
        kept = tf.random.stateless_uniform(tf.shape(x), step.random_seed()) < keep
        return tf.where(kept, x / tf.cast(keep, x.dtype), tf.zeros_like(x))
