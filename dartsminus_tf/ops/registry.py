"""Primitive names -> layers. A genotype and a search space speak of operations by these names only.

    register("my_op", lambda channels, stride, affine: MyLayer(channels, stride))

makes a new operation available to derived networks and, through a generic candidate, to supernets.
"""

from collections.abc import Callable

import keras

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import layers

LayerBuilder = Callable[[int, int, bool], keras.layers.Layer]

_BUILDERS: dict[str, LayerBuilder] = {}


def register(name: str, builder: LayerBuilder) -> None:
    """Make `builder(channels, stride, affine) -> layer` the operation called `name`.

    The layer maps [N, H, W, channels] to [N, ceil(H / stride), ceil(W / stride), channels].
    """
    if name in _BUILDERS:
        raise UsageError(f"A primitive of this name is registered already; choose another. Received: {name!r}")
    _BUILDERS[name] = builder


def primitive_names() -> list[str]:
    """Every registered name, sorted."""
    return sorted(_BUILDERS)


def build_primitive(name: str, channels: int, stride: int = 1, affine: bool = True) -> keras.layers.Layer:
    """The layer of primitive `name` for `channels` channels."""
    if name not in _BUILDERS:
        raise UsageError(f"Unknown primitive; known are {', '.join(primitive_names())}. Received: {name!r}")
    return _BUILDERS[name](channels, stride, affine)


def _skip_connect(channels: int, stride: int, affine: bool) -> keras.layers.Layer:
    return layers.Identity() if stride == 1 else layers.FactorizedReduce(channels, affine)


def _separable(kernel_size: int, dilation: int, repeats: int) -> LayerBuilder:
    def build(channels: int, stride: int, affine: bool) -> keras.layers.Layer:
        return layers.SeparableConv(channels, kernel_size, stride, dilation, repeats, affine)

    return build


register("none", lambda channels, stride, affine: layers.Zero(stride))
register("noise", lambda channels, stride, affine: layers.Noise(stride))
register("skip_connect", _skip_connect)
register("max_pool_3x3", lambda channels, stride, affine: layers.Pool("max", stride))
register("avg_pool_3x3", lambda channels, stride, affine: layers.Pool("average", stride))
register("conv_7x1_1x7", layers.Conv7x1x7)
for _size in (3, 5, 7):
    register(f"sep_conv_{_size}x{_size}", _separable(_size, dilation=1, repeats=2))
    register(f"dil_conv_{_size}x{_size}", _separable(_size, dilation=2, repeats=1))
