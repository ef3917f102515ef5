"""The places of published tensors in the variables of a mobile network."""

from dartsminus_tf.spaces.mobilenet.network import MobileNetwork
from dartsminus_tf.spaces.mobilenet.published.naming import NAMINGS, units
from dartsminus_tf.spaces.mobilenet.published.presets import MobilePreset
from dartsminus_tf.spaces.torch_slots import Slot


def preset_slots(preset: MobilePreset, model: MobileNetwork, naming: str) -> dict[str, Slot]:
    """{name: place} of every tensor of a file, in a built network of the preset."""
    about, slots = NAMINGS[naming], {}
    blocks = (layer for block in model.blocks if block for layer in (block.expand, block.depthwise, block.project))
    layers = (model.stem.conv, model.stem.depthwise, model.stem.project, *blocks, model.head.conv)
    for unit, layer in zip(units(preset.plan, preset.stages), layers, strict=True):
        kernel, norm = about.names(unit)
        slots[kernel] = Slot(layer.conv.kernel, about.layout("depthwise" if unit.is_depthwise else "conv"))
        variables = (layer.norm.gamma, layer.norm.beta, layer.norm.moving_mean, layer.norm.moving_variance)
        slots |= {norm + leaf: Slot(v, "vector") for leaf, v in zip(about.norm_leaves, variables, strict=True)}
    matrix, offset = about.classifier_names
    linear = model.head.classifier
    return slots | {matrix: Slot(linear.kernel, about.layout("linear")), offset: Slot(linear.bias, "vector")}
