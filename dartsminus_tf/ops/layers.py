"""Keras layers of the derived networks: convolutions, the cells' operations, the classifier. NHWC throughout.

Convolutions carry no bias and start from PyTorch's default, uniform in +-1 / sqrt(fan_in). Paddings are symmetric.
"""

import math

import keras
import tensorflow as tf

from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops import step
from dartsminus_tf.ops.norm import BatchNorm


def uniform_fan_in(fan_in: int) -> keras.initializers.Initializer:
    """PyTorch's default for convolutions and linear layers: uniform in +-1 / sqrt(fan_in)."""
    bound = 1.0 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound)


class Operation(keras.layers.Layer):
    """A layer that is described by keyword arguments alone: `get_config` returns what `configure` received."""

    def __init__(self, *, name=None, dtype=None, trainable=True, **arguments):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self._arguments = arguments
        for key, value in arguments.items():
            setattr(self, key, value)

    def get_config(self):
        return super().get_config() | self._arguments


@keras.saving.register_keras_serializable("dartsminus_tf")
class Conv(Operation):
    """Bias-free convolution of odd size; output height ceil(H / stride).

    Args:
        channels: output channels.
        kernel_size: one odd number or a pair (height, width).
        stride: one number or a pair.
        padding: "symmetric", as PyTorch pads, or "same", as TensorFlow does: they differ at stride 2.
    """

    def __init__(self, channels: int, kernel_size=1, stride=1, padding="symmetric", **kwargs):
        super().__init__(channels=channels, kernel_size=kernel_size, stride=stride, padding=padding, **kwargs)

    def build(self, input_shape):
        size = (self.kernel_size,) * 2 if isinstance(self.kernel_size, int) else tuple(self.kernel_size)
        fan_in = size[0] * size[1] * input_shape[-1]
        shape = (*size, input_shape[-1], self.channels)
        self.kernel = self.add_weight(shape=shape, initializer=uniform_fan_in(fan_in), name="kernel")

    def call(self, x):
        return fn.conv2d(x, tf.convert_to_tensor(self.kernel), self.stride, self.padding)

    def compute_output_shape(self, input_shape):
        strides = (self.stride,) * 2 if isinstance(self.stride, int) else self.stride
        height, width = (size and -(-size // s) for size, s in zip(input_shape[1:3], strides, strict=True))
        return (input_shape[0], height, width, self.channels)


class Stack(Operation):
    """Layers one after the other; `self.layers` is made by the subclass's `__init__`, built from shapes alone."""

    def build(self, input_shape):
        for layer in self.layers:
            if not layer.built:
                layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, x, training=False):
        for layer in self.layers:
            x = layer(x, training=training) if isinstance(layer, BatchNorm) else layer(x)
        return x

    def compute_output_shape(self, input_shape):
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape


@keras.saving.register_keras_serializable("dartsminus_tf")
class ConvNorm(Stack):
    """Convolution and batch norm, with ReLU before or after them where asked for.

    Args:
        channels, kernel_size, stride: of the convolution.
        relu: "before", "after" or None.
        affine: whether the batch norm learns a scale and an offset.
    """

    def __init__(self, channels: int, kernel_size=1, stride=1, relu=None, affine=True, **kwargs):
        super().__init__(channels=channels, kernel_size=kernel_size, stride=stride, relu=relu, affine=affine, **kwargs)
        self.conv, self.norm = Conv(channels, kernel_size, stride), BatchNorm(affine)
        self.layers = [self.conv, self.norm]
        if relu == "before":
            self.layers.insert(0, keras.layers.ReLU())
        elif relu == "after":
            self.layers.append(keras.layers.ReLU())


@keras.saving.register_keras_serializable("dartsminus_tf")
class SeparableConv(Operation):
    """`sep_conv_k` and `dil_conv_k`: (ReLU, depthwise, pointwise, batch norm), `repeats` times.

    Args:
        channels: output channels; also those between the stages' pointwise and the next depthwise convolution's input.
        kernel_size: odd.
        stride: of the first stage; later ones have stride 1.
        dilation: of every depthwise convolution.
        repeats: 2 for `sep_conv`, 1 for `dil_conv`.
    """

    def __init__(self, channels, kernel_size, stride=1, dilation=1, repeats=1, affine=True, **kwargs):
        super().__init__(
            channels=channels,
            kernel_size=kernel_size,
            stride=stride,
            dilation=dilation,
            repeats=repeats,
            affine=affine,
            **kwargs,
        )
        self.norms = [BatchNorm(affine) for _ in range(repeats)]

    def build(self, input_shape):
        channels = input_shape[-1]
        self.depthwise, self.pointwise = [], []
        for stage, norm in enumerate(self.norms):
            width = channels if stage < self.repeats - 1 else self.channels
            size = self.kernel_size
            self.depthwise.append(
                self.add_weight(
                    shape=(size, size, channels, 1),
                    initializer=uniform_fan_in(size * size),
                    name=f"depthwise_{stage}",
                )
            )
            self.pointwise.append(
                self.add_weight(
                    shape=(1, 1, channels, width),
                    initializer=uniform_fan_in(channels),
                    name=f"pointwise_{stage}",
                )
            )
            norm.build((None, None, None, width))

    def call(self, x, training=False):
        for stage, norm in enumerate(self.norms):
            depthwise, pointwise = map(tf.convert_to_tensor, (self.depthwise[stage], self.pointwise[stage]))
            x = fn.separable(tf.nn.relu(x), depthwise, pointwise, self.stride if stage == 0 else 1, self.dilation)
            x = norm(x, training=training)
        return x


@keras.saving.register_keras_serializable("dartsminus_tf")
class FactorizedReduce(Operation):
    """ReLU, two stride-2 1x1 convolutions of half the channels (one shifted by a pixel), batch norm; even sizes."""

    def __init__(self, channels: int, affine: bool = True, **kwargs):
        super().__init__(channels=channels, affine=affine, **kwargs)
        self.norm = BatchNorm(affine)

    def build(self, input_shape):
        width = input_shape[-1]
        shape = (2, width, self.channels // 2)
        self.kernels = self.add_weight(shape=shape, initializer=uniform_fan_in(width), name="kernels")
        self.norm.build((None, None, None, self.channels))

    def call(self, x, training=False):
        return self.norm(fn.factorized_reduce(tf.nn.relu(x), tf.convert_to_tensor(self.kernels)), training=training)


@keras.saving.register_keras_serializable("dartsminus_tf")
class Conv7x1x7(Stack):
    """`conv_7x1_1x7` of AmoebaNet: ReLU, convolutions 1x7 and 7x1 (each strided along its length), batch norm."""

    def __init__(self, channels: int, stride: int = 1, affine: bool = True, **kwargs):
        super().__init__(channels=channels, stride=stride, affine=affine, **kwargs)
        self.layers = [
            keras.layers.ReLU(),
            Conv(channels, (1, 7), (1, stride)),
            Conv(channels, (7, 1), (stride, 1)),
            BatchNorm(affine),
        ]


@keras.saving.register_keras_serializable("dartsminus_tf")
class Pool(Operation):
    """3x3 "max" or "average" pool; padding never wins and is not counted."""

    def __init__(self, kind: str, stride: int = 1, **kwargs):
        super().__init__(kind=kind, stride=stride, **kwargs)

    def call(self, x, training=False):
        return fn.max_pool(x, self.stride) if self.kind == "max" else fn.avg_pool(x, self.stride)


@keras.saving.register_keras_serializable("dartsminus_tf")
class Identity(Operation):
    """The skip connection at stride 1."""

    def call(self, x, training=False):
        return x


@keras.saving.register_keras_serializable("dartsminus_tf")
class Zero(Operation):
    """`none`: zeros of the strided shape."""

    def __init__(self, stride: int = 1, **kwargs):
        super().__init__(stride=stride, **kwargs)

    def call(self, x, training=False):
        return tf.zeros_like(fn.subsample(x, self.stride))


@keras.saving.register_keras_serializable("dartsminus_tf")
class Noise(Operation):
    """`noise` of space S4: ignores its input, fresh N(0, 1) of the strided shape at every call, in evaluation too."""

    def __init__(self, stride: int = 1, **kwargs):
        super().__init__(stride=stride, **kwargs)

    def call(self, x, training=False):
        return tf.random.stateless_normal(tf.shape(fn.subsample(x, self.stride)), step.random_seed(), dtype=x.dtype)


@keras.saving.register_keras_serializable("dartsminus_tf")
class Classifier(Operation):
    """Global average pool over [N, H, W, C], then a linear layer to [N, num_classes] in float32."""

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(num_classes=num_classes, **kwargs)

    def build(self, input_shape):
        width = input_shape[-1]
        start = uniform_fan_in(width)
        self.kernel = self.add_weight(shape=(width, self.num_classes), initializer=start, name="kernel")
        self.bias = self.add_weight(shape=(self.num_classes,), initializer=start, name="bias")

    def call(self, x):
        kernel, bias = map(tf.convert_to_tensor, (self.kernel, self.bias))
        return tf.cast(fn.linear(tf.reduce_mean(x, axis=[1, 2]), kernel, bias), tf.float32)
