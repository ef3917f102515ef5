"""The 3x3 max pool with a gradient of its own: TensorFlow's costs many times the pool itself on a CPU."""

import tensorflow as tf


def max_pool_3x3(x: tf.Tensor) -> tf.Tensor:
    """3x3 max pool of `x` [N, H, W, C] at stride 1 whose padding never wins."""
    return _forward(x) if tf.config.list_logical_devices("GPU") else _with_gradient(x)


def _forward(x):
    return tf.nn.max_pool2d(x, 3, 1, "SAME")


@tf.autograph.experimental.do_not_convert
@tf.custom_gradient
def _with_gradient(x):
    y = _forward(x)
    return y, lambda dy: _gradient(x, y, dy)


@tf.function(autograph=False)
def _gradient(x, y, dy):
    """The pool is a maximum over rows of maxima along rows; its gradient goes back through both.

    Among equal values the first in row-major order takes it, as everywhere. A function of its own, traced once for
    every shape.
    """
    with tf.control_dependencies([dy]):  # made now, not kept since the forward pass
        rows = tf.nn.max_pool2d(x, (1, 3), 1, "SAME")
    return _to_first_winner(x, rows, _to_first_winner(rows, y, dy, axis=1), axis=2)


def _to_first_winner(x: tf.Tensor, y: tf.Tensor, dy: tf.Tensor, axis: int) -> tf.Tensor:
    """The gradient of `x`, where y[i] = max(x[i - 1], x[i], x[i + 1]) along `axis`."""
    before, after = [[0, 0]] * 4, [[0, 0]] * 4
    before[axis], after[axis] = [1, 0], [0, 1]
    all_but_last, all_but_first = [slice(None)] * 4, [slice(None)] * 4
    all_but_last[axis], all_but_first[axis] = slice(None, -1), slice(1, None)
    all_but_last, all_but_first = tuple(all_but_last), tuple(all_but_first)
    zeros = tf.zeros_like(dy)
    to_previous = tf.where(tf.pad(x[all_but_last], before, constant_values=x.dtype.min) == y, dy, zeros)
    rest = dy - to_previous
    to_itself = tf.where(x == y, rest, zeros)
    to_next = rest - to_itself
    return to_itself + tf.pad(to_previous[all_but_first], after) + tf.pad(to_next[all_but_last], before)
