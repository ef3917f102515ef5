"""The operations' arithmetic as pure functions of tensors, NHWC, with PyTorch's symmetric padding.

At stride 1 symmetric padding is TensorFlow's SAME. At stride 2 it is not (SAME pads even sizes below and to the right
only), so the input is padded by hand, unless a convolution is told `padding="same"`.
"""

import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import step, tally
from dartsminus_tf.ops.depthwise import dense_depthwise

LOWEST = -3.0e38


def pad_symmetric(x: tf.Tensor, padding: int, value: float = 0.0) -> tf.Tensor:
    """Pad height and width of `x` [N, H, W, C] by `padding` pixels on every side."""
    return tf.pad(x, [[0, 0], [padding, padding], [padding, padding], [0, 0]], constant_values=value)


def conv2d(x: tf.Tensor, kernel: tf.Tensor, stride: int = 1, padding: str = "symmetric") -> tf.Tensor:
    """Convolve `x` [N, H, W, Cin] with an odd-sized `kernel` [kh, kw, Cin, Cout]; output size ceil(H / stride)."""
    kh, kw, channels, _ = kernel.shape
    if kh == kw == stride == 1:
        y = pointwise(x, tf.reshape(kernel, kernel.shape[2:]))
    elif stride == 1 or padding == "same":
        y = tf.nn.conv2d(x, kernel, stride, "SAME")
    else:
        if kh > 1 or kw > 1:
            x = tf.pad(x, [[0, 0], [kh // 2, kh // 2], [kw // 2, kw // 2], [0, 0]])
        y = tf.nn.conv2d(x, kernel, stride, "VALID")
    tally.spend(y.shape, kh * kw * channels)
    return y


def pointwise(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """A 1x1 convolution of `x` [N, H, W, Cin] with `kernel` [Cin, Cout], as the matrix product that it is.

    On CPUs the product is up to 1.7 times as fast as the convolution kernel.
    """
    channels, width = kernel.shape
    shape = [-1, *x.shape[1:3], width] if None not in x.shape[1:3] else tf.concat([tf.shape(x)[:3], [width]], 0)
    return tf.reshape(tf.matmul(tf.reshape(x, [-1, channels]), kernel), shape)


def depthwise_conv(
    x: tf.Tensor, kernel: tf.Tensor, stride: int = 1, dilation: int = 1, padding: str = "symmetric"
) -> tf.Tensor:
    """Depthwise convolution of `x` [N, H, W, C] with `kernel` [k, k, C, 1]; k odd, padding `dilation * (k // 2)`.

    With `padding="same"` a dense one is padded as TensorFlow does.
    A dilation equal to the stride reads only every stride-th pixel: it is a dense convolution of the subsampled input.
    """
    if stride > 1 and dilation == stride:
        x, stride, dilation = subsample(x, stride), 1, 1
    if stride == 1 and dilation == 1:
        y = dense_depthwise(x, kernel)
    elif stride == 1:
        y = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME", dilations=[dilation, dilation])
    elif dilation == 1 and padding == "same":
        y = tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "SAME")
    elif dilation == 1:
        x = pad_symmetric(x, kernel.shape[0] // 2)
        y = tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "VALID")
    else:
        raise UsageError(f"dilation must be 1 or equal to stride {stride}. Received: {dilation}")
    tally.spend(y.shape, kernel.shape[0] * kernel.shape[1])
    return y


def subsample(x: tf.Tensor, stride: int) -> tf.Tensor:
    """Return `x[:, ::stride, ::stride]`, as a 1x1 average pool: the gradient of a strided slice is far slower."""
    return x if stride == 1 else tf.nn.avg_pool2d(x, 1, stride, "SAME")


def max_pool(x: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """3x3 max pool, one pixel of padding on every side that never wins."""
    if stride == 1:
        return tf.nn.max_pool2d(x, 3, 1, "SAME")
    return tf.nn.max_pool2d(pad_symmetric(x, 1, value=LOWEST), 3, stride, "VALID")


def avg_pool(x: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """3x3 average pool, one pixel of padding on every side that is not counted.

    At stride 2 the windows are those of stride 1 at the even pixels, so the pool is taken there and subsampled.
    """
    return subsample(tf.nn.avg_pool2d(x, 3, 1, "SAME"), stride)


def factorized_reduce(x: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
    """Halve height and width: two 1x1 convolutions of stride 2, on `x` and on `x[:, 1:, 1:]`, concatenated.

    Args:
        x: [N, H, W, Cin]; H and W even. Where they are unknown while tracing (an exported network that takes any
            size), an odd size is padded with one row or column of zeros.
        kernels: [2, Cin, Cout // 2].

    Both are one 2x2 convolution whose kernel holds them at (0, 0) and (1, 1).
    """
    height, width = x.shape[1:3]
    for axis, size in (("height", height), ("width", width)):
        if size is not None and size % 2:
            raise UsageError(
                f"FactorizedReduce needs an even {axis}; choose an image size that halves evenly. Received: {size}"
            )
    if height is None or width is None:
        shape = tf.shape(x)
        x = tf.pad(x, [[0, 0], [0, shape[1] % 2], [0, shape[2] % 2], [0, 0]])
    zeros = tf.zeros_like(kernels[0])
    top_left = tf.concat([kernels[0], zeros], axis=-1)
    bottom_right = tf.concat([zeros, kernels[1]], axis=-1)
    empty = tf.zeros_like(top_left)
    kernel = tf.stack([tf.stack([top_left, empty]), tf.stack([empty, bottom_right])])
    y = tf.nn.conv2d(x, kernel, 2, "VALID")
    tally.spend(y.shape, kernels.shape[1])
    return y


def linear(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`x` [N, Cin] times `kernel` [Cin, Cout] plus `bias` [Cout]."""
    tally.spend((None, kernel.shape[1]), kernel.shape[0])
    return tf.matmul(x, kernel) + bias


def channel_shuffle(x: tf.Tensor, groups: int) -> tf.Tensor:
    """Deal the channels of `x` [N, H, W, C] out: channel g * C/groups + c goes to c * groups + g."""
    if groups == 1:
        return x
    height, width, channels = x.shape[1:]
    grouped = tf.reshape(x, [-1, height, width, groups, channels // groups])
    return tf.reshape(tf.transpose(grouped, [0, 1, 2, 4, 3]), [-1, height, width, channels])


def to_phases(x: tf.Tensor) -> tf.Tensor:
    """Split `x` [N, H, W, C], H and W even, into its four pixel phases: [4N, H/2, W/2, C].

    A convolution of dilation 2 is a dense convolution of the phases, and 1x1 convolutions and batch statistics do not
    see the order of pixels, so a whole dilated operation can stay in this layout.
    """
    return tf.space_to_batch(x, [2, 2], [[0, 0], [0, 0]])


def from_phases(x: tf.Tensor) -> tf.Tensor:
    """Undo `to_phases`."""
    return tf.batch_to_space(x, [2, 2], [[0, 0], [0, 0]])


def separable(
    x: tf.Tensor, depthwise: tf.Tensor, pointwise: tf.Tensor, stride: int = 1, dilation: int = 1
) -> tf.Tensor:
    """Depthwise [k, k, C, 1] then pointwise [1, 1, C, Cout] convolution of `x` [N, H, W, C]."""
    return conv2d(depthwise_conv(x, depthwise, stride, dilation), pointwise)


def drop_path(x: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """Zero each sample of `x` [N, H, W, C] with probability `rate` in [0, 1) and scale the others by 1 / (1 - rate)."""
    keep = 1.0 - tf.cast(rate, x.dtype)
    mask = tf.floor(keep + tf.random.stateless_uniform([tf.shape(x)[0], 1, 1, 1], step.random_seed(), dtype=x.dtype))
    return x * (mask / keep)
