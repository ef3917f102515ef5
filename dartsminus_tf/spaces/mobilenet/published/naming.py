"""How those who publish mobile networks call their tensors: names and shapes, from the plan of the network alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dartsminus_tf.spaces.mobilenet.genotype import SKIP, MobileGenotype, block_of
from dartsminus_tf.spaces.mobilenet.plan import NetworkPlan
from dartsminus_tf.spaces.preset import Shape


class Unit(NamedTuple):
    """One convolution and its batch norm, in the network's order.

    Args:
        role: "stem", "first_depthwise", "first_project", "expand", "depthwise", "project" or "head".
        number: of the block, the stem's separable one being 0, skips counted.
        stage, index: of the block, the separable one being stage 0, and its place there.
        inputs, outputs, kernel: channels and kernel size; a depthwise convolution has as many outputs as inputs.
    """

    role: str
    number: int
    stage: int
    index: int
    inputs: int
    outputs: int
    kernel: int = 1

    @property
    def is_depthwise(self) -> bool:
        return self.role.endswith("depthwise")


def units(plan: NetworkPlan, genotype: MobileGenotype) -> Iterator[Unit]:
    """All convolutions of a network, without the classifier."""
    yield Unit("stem", 0, 0, 0, 3, plan.stem, 3)
    yield Unit("first_depthwise", 0, 0, 0, plan.stem, plan.stem, 3)
    yield Unit("first_project", 0, 0, 0, plan.stem, plan.separable)
    index = 0
    for number, (name, layer) in enumerate(zip(genotype.operations["layers"], plan.layers, strict=True), start=1):
        index = 0 if layer.opens else index + 1
        if name != SKIP:
            kernel, expansion = block_of(name)
            middle, place = layer.in_channels * expansion, (number, layer.stage + 1, index)
            yield Unit("expand", *place, layer.in_channels, middle)
            yield Unit("depthwise", *place, middle, middle, kernel)
            yield Unit("project", *place, middle, layer.channels)
    yield Unit("head", len(plan.layers) + 1, 0, 0, plan.layers[-1].channels, plan.head)


@dataclass(frozen=True)
class Naming:
    """Names of one publisher.

    Args:
        convolutions: {role: (name of the convolution, name of its norm)} with {number}, {stage}, {index} and {next},
            the number plus one, to be filled in.
        classifier: name of the linear layer.
        keras: whether leaves and layouts are Keras' (else PyTorch's).
    """

    convolutions: dict[str, tuple[str, str]]
    classifier: str
    keras: bool = False

    @property
    def norm_leaves(self) -> tuple[str, ...]:
        """Of scale, offset, mean, variance."""
        if self.keras:
            return ("/gamma", "/beta", "/moving_mean", "/moving_variance")
        return (".weight", ".bias", ".running_mean", ".running_var")

    @property
    def classifier_names(self) -> tuple[str, str]:
        """Of the classifier's matrix and its offset."""
        matrix, offset = ("/kernel", "/bias") if self.keras else (".weight", ".bias")
        return self.classifier + matrix, self.classifier + offset

    def layout(self, kind: str) -> str:
        """Of a "conv", "depthwise" or "linear" array, as `spaces.torch_state` calls it."""
        return kind if not self.keras else ("matrix" if kind == "linear" else "kernel")

    def names(self, unit: Unit) -> tuple[str, str]:
        """Of a convolution's kernel, and of its norm without a leaf."""
        places = {"number": unit.number, "stage": unit.stage, "index": unit.index, "next": unit.number + 1}
        conv, norm = (text.format(**places) for text in self.convolutions[unit.role])
        return conv + ("/kernel" if self.keras else ".weight"), norm

    def kernel_shape(self, unit: Unit) -> Shape:
        """The published shape of a convolution's kernel."""
        window = (unit.kernel, unit.kernel)
        if unit.is_depthwise:
            return (*window, unit.inputs, 1) if self.keras else (unit.inputs, 1, *window)
        return (*window, unit.inputs, unit.outputs) if self.keras else (unit.outputs, unit.inputs, *window)

    def shapes(self, plan: NetworkPlan, genotype: MobileGenotype, num_classes: int) -> dict[str, Shape]:
        """{name: shape} of every tensor of a network."""
        found = {}
        for unit in units(plan, genotype):
            kernel, norm = self.names(unit)
            found[kernel] = self.kernel_shape(unit)
            found |= {norm + leaf: (unit.outputs,) for leaf in self.norm_leaves}
        matrix, offset = self.classifier_names
        shape = (plan.head, num_classes) if self.keras else (num_classes, plan.head)
        return found | {matrix: shape, offset: (num_classes,)}


NAMINGS = {
    "efficientnet_pytorch": Naming(
        {
            "stem": ("_conv_stem", "_bn0"),
            "first_depthwise": ("_blocks.0._depthwise_conv", "_blocks.0._bn1"),
            "first_project": ("_blocks.0._project_conv", "_blocks.0._bn2"),
            "expand": ("_blocks.{number}._expand_conv", "_blocks.{number}._bn0"),
            "depthwise": ("_blocks.{number}._depthwise_conv", "_blocks.{number}._bn1"),
            "project": ("_blocks.{number}._project_conv", "_blocks.{number}._bn2"),
            "head": ("_conv_head", "_bn1"),
        },
        "_fc",
    ),
    "timm": Naming(
        {
            "stem": ("conv_stem", "bn1"),
            "first_depthwise": ("blocks.0.0.conv_dw", "blocks.0.0.bn1"),
            "first_project": ("blocks.0.0.conv_pw", "blocks.0.0.bn2"),
            "expand": ("blocks.{stage}.{index}.conv_pw", "blocks.{stage}.{index}.bn1"),
            "depthwise": ("blocks.{stage}.{index}.conv_dw", "blocks.{stage}.{index}.bn2"),
            "project": ("blocks.{stage}.{index}.conv_pwl", "blocks.{stage}.{index}.bn3"),
            "head": ("conv_head", "bn2"),
        },
        "classifier",
    ),
    "torchvision": Naming(
        {
            "stem": ("features.0.0", "features.0.1"),
            "first_depthwise": ("features.1.conv.0.0", "features.1.conv.0.1"),
            "first_project": ("features.1.conv.1", "features.1.conv.2"),
            "expand": ("features.{next}.conv.0.0", "features.{next}.conv.0.1"),
            "depthwise": ("features.{next}.conv.1.0", "features.{next}.conv.1.1"),
            "project": ("features.{next}.conv.2", "features.{next}.conv.3"),
            "head": ("features.{next}.0", "features.{next}.1"),
        },
        "classifier.1",
    ),
    "proxylessnas": Naming(
        {
            "stem": ("first_conv.conv", "first_conv.bn"),
            **{
                role: tuple(f"blocks.{{number}}.mobile_inverted_conv.{part}.{leaf}" for leaf in ("conv", "bn"))
                for role, part in {
                    "first_depthwise": "depth_conv",
                    "first_project": "point_linear",
                    "expand": "inverted_bottleneck",
                    "depthwise": "depth_conv",
                    "project": "point_linear",
                }.items()
            },
            "head": ("feature_mix_layer.conv", "feature_mix_layer.bn"),
        },
        "classifier.linear",
    ),
    "keras": Naming(
        {
            "stem": ("Conv1", "bn_Conv1"),
            "first_depthwise": ("expanded_conv_depthwise", "expanded_conv_depthwise_BN"),
            "first_project": ("expanded_conv_project", "expanded_conv_project_BN"),
            "expand": ("block_{number}_expand", "block_{number}_expand_BN"),
            "depthwise": ("block_{number}_depthwise", "block_{number}_depthwise_BN"),
            "project": ("block_{number}_project", "block_{number}_project_BN"),
            "head": ("Conv_1", "Conv_1_bn"),
        },
        "predictions",
        keras=True,
    ),
}
