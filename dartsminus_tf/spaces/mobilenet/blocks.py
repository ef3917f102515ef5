"""The layers of mobile networks: stem, inverted residual, squeeze-and-excitation, head.

Batch norms are affine with PyTorch's momentum, convolutions bias-free; padding and epsilon are a `Convention`'s.
"""

import keras
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops import step
from dartsminus_tf.ops.layers import Classifier, Conv, uniform_fan_in
from dartsminus_tf.ops.norm import BatchNorm
from dartsminus_tf.spaces.mobilenet.plan import PYTORCH, Convention, LayerPlan

ACTIVATIONS = {"relu": tf.nn.relu, "relu6": tf.nn.relu6, "swish": tf.nn.silu}
SQUEEZE = 4


def activation_of(name: str):
    """The function called `name`."""
    if name not in ACTIVATIONS:
        raise UsageError(f"activation must be one of {', '.join(ACTIVATIONS)}. Received: {name!r}")
    return ACTIVATIONS[name]


class DepthwiseConv(keras.layers.Layer):
    """Bias-free depthwise convolution, [N, H, W, C] -> [N, ceil(H / stride), ..., C]."""

    def __init__(self, kernel_size: int, stride: int = 1, padding: str = "symmetric", **kwargs):
        super().__init__(**kwargs)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def build(self, input_shape):
        size = self.kernel_size
        shape = (size, size, input_shape[-1], 1)
        self.kernel = self.add_weight(shape=shape, initializer=uniform_fan_in(size * size), name="kernel")

    def call(self, x):
        return fn.depthwise_conv(x, tf.convert_to_tensor(self.kernel), self.stride, padding=self.padding)


class ConvNormActivation(keras.layers.Layer):
    """A convolution, batch norm, and an activation where `activation` is not None."""

    def __init__(self, conv: keras.layers.Layer, epsilon: float, activation: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.norm = conv, BatchNorm(epsilon=epsilon)
        self.activation = activation_of(activation) if activation else None

    def build(self, input_shape):
        self.conv.build(input_shape)
        channels = getattr(self.conv, "channels", input_shape[-1])
        self.norm.build((None, None, None, channels))

    def call(self, x, training=False):
        x = self.norm(self.conv(x), training=training)
        return x if self.activation is None else self.activation(x)


class SqueezeExcitation(keras.layers.Layer):
    """x * sigmoid(W2 act(W1 mean(x))) (Hu et al., CVPR 2018); W1 leads to a quarter of the block's input width."""

    def __init__(self, width: int, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.width, self.activation = width, activation_of(activation)

    def build(self, input_shape):
        channels, width = input_shape[-1], self.width
        start, back = uniform_fan_in(channels), uniform_fan_in(width)
        self.squeeze = self.add_weight(shape=(channels, width), initializer=start, name="squeeze")
        self.squeeze_bias = self.add_weight(shape=(width,), initializer="zeros", name="squeeze_bias")
        self.excite = self.add_weight(shape=(width, channels), initializer=back, name="excite")
        self.excite_bias = self.add_weight(shape=(channels,), initializer="zeros", name="excite_bias")

    def call(self, x):
        weights = map(tf.convert_to_tensor, (self.squeeze, self.squeeze_bias, self.excite, self.excite_bias))
        squeeze, squeeze_bias, excite, excite_bias = weights
        y = self.activation(fn.linear(tf.reduce_mean(x, axis=[1, 2]), squeeze, squeeze_bias))
        return x * tf.sigmoid(fn.linear(y, excite, excite_bias))[:, None, None, :]


class InvertedResidual(keras.layers.Layer):
    """MobileNetV2's block: 1x1 to `expansion` times the width, depthwise, 1x1 to `plan.channels` without activation;
    batch norms between; the input is added where stride and width allow."""

    def __init__(
        self,
        plan: LayerPlan,
        kernel_size: int,
        expansion: int,
        activation: str = "relu6",
        squeeze: bool = False,
        convention: Convention = PYTORCH,
        **kwargs,
    ):
        super().__init__(**kwargs)
        padding, epsilon = convention
        self.plan, self.middle = plan, plan.in_channels * expansion
        self.expand = ConvNormActivation(Conv(self.middle), epsilon, activation)
        self.depthwise = ConvNormActivation(DepthwiseConv(kernel_size, plan.stride, padding), epsilon, activation)
        self.excitation = SqueezeExcitation(max(1, plan.in_channels // SQUEEZE), activation) if squeeze else None
        self.project = ConvNormActivation(Conv(plan.channels), epsilon)

    def build(self, input_shape):
        self.expand.build(input_shape)
        middle = (None, None, None, self.middle)
        for layer in (self.depthwise, self.excitation, self.project):
            if layer is not None:
                layer.build(middle)

    def call(self, x, drop_path=None, training=False):
        """`drop_path` is the rate, a scalar tensor, at which the block is left out of the sum; None for never."""
        y = self.depthwise(self.expand(x, training=training), training=training)
        y = y if self.excitation is None else self.excitation(y)
        y = self.project(y, training=training)
        if not self.plan.has_skip:
            return y
        return x + (y if drop_path is None else fn.drop_path(y, drop_path))


class MobileStem(keras.layers.Layer):
    """3x3 convolution of stride 2, then a depthwise-separable one to `separable` channels."""

    def __init__(
        self, channels: int, separable: int, activation: str = "relu6", convention: Convention = PYTORCH, **kwargs
    ):
        super().__init__(**kwargs)
        padding, epsilon = convention
        self.channels = channels
        self.conv = ConvNormActivation(Conv(channels, 3, 2, padding), epsilon, activation)
        self.depthwise = ConvNormActivation(DepthwiseConv(3), epsilon, activation)
        self.project = ConvNormActivation(Conv(separable), epsilon)

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.depthwise.build((None, None, None, self.channels))
        self.project.build((None, None, None, self.channels))

    def call(self, x, training=False):
        for layer in (self.conv, self.depthwise, self.project):
            x = layer(x, training=training)
        return x


class MobileHead(keras.layers.Layer):
    """1x1 convolution, batch norm, activation, global average pool, dropout in training, linear."""

    def __init__(
        self,
        channels: int,
        num_classes: int,
        activation: str = "relu6",
        dropout: float = 0.0,
        convention: Convention = PYTORCH,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.conv = ConvNormActivation(Conv(channels), convention.norm_epsilon, activation)
        self.dropout = dropout
        self.classifier = Classifier(num_classes)

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.classifier.build((None, None, None, self.channels))

    def call(self, x, training=False):
        x = tf.reduce_mean(self.conv(x, training=training), axis=[1, 2], keepdims=True)
        if training and self.dropout:
            x = tf.nn.experimental.stateless_dropout(x, self.dropout, step.random_seed())
        return self.classifier(x)
