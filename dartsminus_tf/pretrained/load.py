"""`from_preset`: a published network, with its published weights where there are any."""

from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError, require
from dartsminus_tf.pretrained.naming import NAMINGS, Naming, units
from dartsminus_tf.pretrained.presets import PRESETS, ZOO_SETTINGS, Preset, zoo_data
from dartsminus_tf.pretrained.sources import Tensors, find_preset, read_preset
from dartsminus_tf.spaces.build import build_network
from dartsminus_tf.spaces.find import published, published_genotype
from dartsminus_tf.spaces.mobilenet.network import MobileNetwork
from dartsminus_tf.spaces.network import DerivedNetwork
from dartsminus_tf.spaces.torch_slots import Slot
from dartsminus_tf.spaces.torch_state import fill_slots

OPTIONS = ("dropout", "drop_path")  # of a network whose weights are given


def from_preset(
    name_or_file: str | Path,
    num_classes: int | None = None,
    file: str | Path | None = None,
    image_size: int | None = None,
    **options,
) -> DerivedNetwork:
    """A published network with its published weights, built. `presets()` lists them.

    Args:
        name_or_file: a preset's name; or a file of weights (safetensors, `.pth`, Keras' `.h5`), whose network is found
            by the names and shapes of its tensors; or a genotype of the zoo, whose weights are new.
        num_classes: where it is another number than that of the weights the classifier is new, all else is taken.
        file: of the weights of a preset, instead of its own source.
        image_size: pixels, that it is built for; the preset's by default.
        options: `dropout` and `drop_path`; of the zoo's genotypes all those of `build_network`.

    Returns:
        The network. Its `preprocessing` says what images it wants: {"mean": ..., "std": ...} of pixels divided by 255.

    Raises:
        UsageError: on an unknown name, weights that cannot be had, or a file that is damaged or does not fit tensor by
            tensor, by name; it holds nothing but weights then, and nothing in it is run.
    """
    name = str(name_or_file)
    if name in published():
        require(file is None, f"{name} is a genotype, for which there are no weights", file)
        return _zoo_network(name, num_classes, image_size, options)
    unknown = sorted(set(options) - set(OPTIONS))
    require(not unknown, f"A preset's options are {', '.join(OPTIONS)}", ", ".join(unknown))
    if name in PRESETS:
        preset = PRESETS[name]
    else:
        require(file is None, "file= is for a preset by its name (dartsminus_tf.presets() lists them)", name)
        preset, file = find_preset(_existing(name)), name
    naming, tensors = read_preset(preset, file)
    return _loaded(preset, NAMINGS[naming], tensors, num_classes, image_size or preset.image_size, options)


def _existing(name: str) -> str:
    if "/" not in name and not Path(name).exists() and not Path(name).suffix:
        raise UsageError(f"Presets are {', '.join(PRESETS)}, the zoo's genotypes, or a file. Received: {name!r}")
    return name


def _loaded(preset: Preset, naming: Naming, tensors: Tensors, num_classes, size: int, options) -> MobileNetwork:
    matrix, offset = (naming.classifier + leaf for leaf in naming.linear_leaves)
    classes = len(tensors[offset])
    model = build_network(preset.stages, num_classes=num_classes or classes, **preset.options, **options)
    model.preprocessing = preset.preprocessing
    model.build((1, size, size, 3))
    slots = _slots(model, naming, preset)
    if model.num_classes != classes:
        slots = {name: slot for name, slot in slots.items() if name not in (matrix, offset)}
        tensors = {name: value for name, value in tensors.items() if name not in (matrix, offset)}
    fill_slots(slots, tensors)
    return model


def _slots(model: MobileNetwork, naming: Naming, preset: Preset) -> dict[str, Slot]:
    """The place of every tensor, by name."""
    blocks = (layer for block in model.blocks if block for layer in (block.expand, block.depthwise, block.project))
    layers = (model.stem.conv, model.stem.depthwise, model.stem.project, *blocks, model.head.conv)
    slots = {}
    for unit, layer in zip(units(preset.plan, preset.stages), layers, strict=True):
        kernel, norm = naming.names(unit)
        slots[kernel] = Slot(layer.conv.kernel, naming.layout("depthwise" if unit.is_depthwise else "conv"))
        variables = (layer.norm.gamma, layer.norm.beta, layer.norm.moving_mean, layer.norm.moving_variance)
        slots |= {norm + leaf: Slot(v, "vector") for leaf, v in zip(naming.norm_leaves, variables, strict=True)}
    classifier = model.head.classifier
    matrix, offset = (naming.classifier + leaf for leaf in naming.linear_leaves)
    return slots | {matrix: Slot(classifier.kernel, naming.layout("linear")), offset: Slot(classifier.bias, "vector")}


def _zoo_network(name: str, num_classes: int | None, image_size: int | None, options: dict) -> DerivedNetwork:
    """The network of a published genotype, its weights new; by default in the paper's setting for CIFAR."""
    size = image_size or (224 if options.get("stem") == "imagenet" else 32)
    model = build_network(published_genotype(name), num_classes=num_classes or ZOO_SETTINGS[zoo_data(name)], **options)
    model.build((1, size, size, 3))
    return model
