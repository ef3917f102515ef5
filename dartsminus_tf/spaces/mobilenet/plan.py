"""Where the layers of a mobile network stand: widths, strides and depths, for supernets and derived networks.

Stem: 3x3 convolution of stride 2 and a depthwise-separable one. Six stages follow whose first layers change stride or
width; then a 1x1 convolution, global average pool, linear. Widths are those of the method's space (ProxylessNAS')
unless others are given: EfficientNet-Lite, MobileNetV2 and ProxylessNAS' networks differ in nothing else but depths,
kernels, expansions, and the `Convention`.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

from dartsminus_tf.foundation.errors import UsageError, require

STEM, SEPARABLE, HEAD = 32, 16, 1280
WIDTHS = (32, 40, 80, 96, 192, 320)
DEPTHS = (2, 4, 4, 4, 4, 1)
STRIDES = (2, 2, 2, 1, 2, 1)
LAYERS = sum(DEPTHS)
LEVEL_STAGES = {"2": 0, "3": 1, "4": 3, "5": 5}  # level -> the last stage at its stride
DEEPEST, WIDEST = 100, 10**5
PADDINGS = ("symmetric", "same")


class Convention(NamedTuple):
    """What frameworks do not agree on.

    Args:
        padding: "symmetric", PyTorch's, or "same", TensorFlow's: at stride 2 they lie a pixel apart.
        norm_epsilon: added to the variance by every batch norm; 1e-5 in PyTorch, 1e-3 in Keras.
    """

    padding: str = "symmetric"
    norm_epsilon: float = 1e-5


PYTORCH = Convention()


def check_convention(padding: str, norm_epsilon: float) -> Convention:
    """The convention of two options; UsageError where they are none."""
    require(padding in PADDINGS, f"padding must be one of {', '.join(PADDINGS)}", padding)
    known = isinstance(norm_epsilon, Real) and 0 < norm_epsilon <= 1
    require(known, "norm_epsilon must be in (0, 1]", norm_epsilon)
    return Convention(padding, float(norm_epsilon))


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
    depths: Sequence[int] = DEPTHS,
    widths: Sequence[int] = WIDTHS,
    multiplier: float = 1.0,
    stem: int = STEM,
    separable: int = SEPARABLE,
    head: int = HEAD,
) -> NetworkPlan:
    """Lay out a network with `depths` layers in the six stages. A multiplier below 1 leaves the head's width alone."""
    _check_sizes("widths", widths, WIDEST)
    _check_sizes("depths", depths, DEEPEST)
    for name, width in (("stem_width", stem), ("separable_width", separable), ("head_width", head)):
        require(_is_size(width, WIDEST), f"{name} must be a whole number in 1..{WIDEST}", width)
    if not 0 < multiplier <= 10:
        raise UsageError(f"width_multiplier must be in (0, 10]. Received: {multiplier}")
    before, layers = scaled(separable, multiplier), []
    for stage, (depth, width, stride) in enumerate(zip(depths, widths, STRIDES, strict=True)):
        for index in range(depth):
            width_here = scaled(width, multiplier)
            layers.append(LayerPlan(before, width_here, stride if index == 0 else 1, stage, index == 0))
            before = width_here
    last = scaled(head, max(1.0, multiplier))  # never below MobileNetV2's, as there
    return NetworkPlan(scaled(stem, multiplier), scaled(separable, multiplier), tuple(layers), last)


def described(plan: NetworkPlan, convention: Convention) -> dict[str, Any]:
    """The options, as section `mobile` of a config has them, that give the plan without a multiplier."""
    opening = [layer for layer in plan.layers if layer.opens]
    return {
        "depths": tuple(sum(layer.stage == stage for layer in plan.layers) for stage in range(len(STRIDES))),
        "widths": tuple(layer.channels for layer in opening),
        "stem_width": plan.stem,
        "separable_width": plan.separable,
        "head_width": plan.head,
        **convention._asdict(),
    }


def _check_sizes(name: str, sizes: Sequence[int], largest: int) -> None:
    holds = len(sizes) == len(STRIDES) and all(_is_size(size, largest) for size in sizes)
    require(holds, f"{name} lists a whole number in 1..{largest} for each of {len(STRIDES)} stages", list(sizes))


def _is_size(size, largest: int) -> bool:
    return isinstance(size, Integral) and not isinstance(size, bool) and 1 <= size <= largest


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
