"""Where the layers of a mobile network stand: widths, strides and depths, for supernets and derived networks.

Stem: 3x3 convolution of stride 2 and a depthwise-separable one. Six stages follow whose first layers change stride or
width; then a 1x1 convolution, global average pool, linear. Widths are those of the method's space (ProxylessNAS').
"""

from collections.abc import Sequence
from typing import NamedTuple

from dartsminus_tf.foundation.errors import UsageError

STEM, SEPARABLE, HEAD = 32, 16, 1280
WIDTHS = (32, 40, 80, 96, 192, 320)
DEPTHS = (2, 4, 4, 4, 4, 1)
STRIDES = (2, 2, 2, 1, 2, 1)
LAYERS = sum(DEPTHS)
LEVEL_STAGES = {"2": 0, "3": 1, "4": 3, "5": 5}  # level -> the last stage at its stride


class LayerPlan(NamedTuple):
    """One searched layer: from `in_channels` to `channels`, halving the image where `stride` is 2.

    `opens` says that it is the first of its stage. Such a layer changes stride or width; where rounding a small
    network's widths makes the change none, it counts as one all the same: a genotype fits networks of every width.
    """

    in_channels: int
    channels: int
    stride: int
    stage: int
    opens: bool

    @property
    def has_skip(self) -> bool:
        """Whether the layer may be a skip, and a block adds its input: stride and width allow it."""
        return self.stride == 1 and self.in_channels == self.channels and not self.opens


class NetworkPlan(NamedTuple):
    """A whole network."""

    stem: int
    separable: int
    layers: tuple[LayerPlan, ...]
    head: int

    @property
    def stage_ends(self) -> list[int]:
        """The index of the last layer of every stage."""
        return [max(i for i, layer in enumerate(self.layers) if layer.stage == stage) for stage in range(len(STRIDES))]


def scaled(channels: int, multiplier: float) -> int:
    """`channels * multiplier` to a multiple of 8, at least 8 and not below 90 % of it, as MobileNets round."""
    wanted = channels * multiplier
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def plan_network(
    depths: Sequence[int] = DEPTHS, widths: Sequence[int] = WIDTHS, multiplier: float = 1.0
) -> NetworkPlan:
    """Lay out a network with `depths` layers in the six stages. A multiplier below 1 leaves the head's width alone."""
    if len(widths) != len(STRIDES) or min(widths) < 1:
        raise UsageError(f"widths lists a positive width for each of {len(STRIDES)} stages. Received: {list(widths)}")
    if not 0 < multiplier <= 10:
        raise UsageError(f"width_multiplier must be in (0, 10]. Received: {multiplier}")
    before, layers = scaled(SEPARABLE, multiplier), []
    for stage, (depth, width, stride) in enumerate(zip(depths, widths, STRIDES, strict=True)):
        for index in range(depth):
            width_here = scaled(width, multiplier)
            layers.append(LayerPlan(before, width_here, stride if index == 0 else 1, stage, index == 0))
            before = width_here
    return NetworkPlan(scaled(STEM, multiplier), scaled(SEPARABLE, multiplier), tuple(layers), scaled_head(multiplier))


def scaled_head(multiplier: float) -> int:
    """Width of the last 1x1 convolution: never below MobileNetV2's, as there."""
    return scaled(HEAD, max(1.0, multiplier))


def depths_of(layers: int) -> tuple[int, ...]:
    """How many of `layers` searched layers (6 to 19) each stage has: the deepest stages lose theirs first, the later
    one on a tie."""
    if not len(DEPTHS) <= layers <= LAYERS:
        raise UsageError(f"In space mobilenet layers must be in {len(DEPTHS)}..{LAYERS}. Received: {layers}")
    depths = list(DEPTHS)
    while sum(depths) > layers:
        deepest = max(range(len(depths)), key=lambda stage: (depths[stage], stage))
        depths[deepest] -= 1
    return tuple(depths)
