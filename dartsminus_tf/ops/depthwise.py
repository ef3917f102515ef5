"""Dense depthwise convolution whose filter gradient is fast on CPUs.

oneDNN's filter gradient is quick for 3x3 kernels and ten times slower for 5x5 ones. The gradient of a 5x5 kernel is
made of four 3x3 gradients, one for each corner of the kernel: tap (i, j) is the product of the output's gradient with
the input shifted by (i, j), and the four corners cover all shifts.
"""

import tensorflow as tf


def dense_depthwise(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Depthwise convolution of `x` [N, H, W, C] with `kernel` [k, k, C, 1] at stride 1, size kept; k odd."""
    static = None not in x.shape[1:]
    if kernel.shape[0] == 5 and static and not tf.config.list_logical_devices("GPU"):
        return _depthwise_5x5(x, kernel)
    return _forward(x, kernel)


def _forward(x, kernel):
    return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")


@tf.custom_gradient
def _depthwise_5x5(x, kernel):
    def gradient(dy):
        shape = tf.shape(x)
        dx = tf.nn.depthwise_conv2d_backprop_input(shape, kernel, dy, [1, 1, 1, 1], "SAME")
        return dx, _filter_gradient_5x5(x, dy)

    return _forward(x, kernel), gradient


@tf.function(autograph=False)
def _filter_gradient_5x5(x, dy):
    """A function of its own, traced once for every shape: a supernet has hundreds of these gradients.

    The gradient [5, 5, C, 1] from its four 3x3 corners, which share the middle row and column."""
    height, width, channels = x.shape[1:]
    # Without the dependency the padded input and its windows would be made in the forward pass and kept until here.
    with tf.control_dependencies([dy]):
        padded = tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]])

    def corner(row, column):
        window = padded[:, row : row + height + 2, column : column + width + 2]
        return tf.nn.depthwise_conv2d_backprop_filter(window, [3, 3, channels, 1], dy, [1, 1, 1, 1], "VALID")

    rows = [tf.concat([corner(row, 0), corner(row, 2)[:, 1:]], axis=1) for row in (0, 2)]
    return tf.concat([rows[0], rows[1][1:]], axis=0)
