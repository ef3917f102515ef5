"""`from_preset`: a published network, with its published weights where there are any."""

from pathlib import Path

from dartsminus_tf.foundation.errors import require
from dartsminus_tf.pretrained.published.sources import find_preset, read_preset
from dartsminus_tf.pretrained.published.table import ZOO_CLASSES, known_presets, require_preset, zoo_data
from dartsminus_tf.spaces.build import build_network
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.find import published, published_genotype
from dartsminus_tf.spaces.network import DerivedNetwork
from dartsminus_tf.spaces.preset import Preset
from dartsminus_tf.spaces.torch_state import fill_slots


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
    name = require_preset(str(name_or_file))
    for key, value in (("num_classes", num_classes), ("image_size", image_size)):
        require(value is None or value >= 1, f"{key} must be at least 1", value)
    if name in published():
        require(file is None, f"{name} is a genotype, for which there are no weights", file)
        return _zoo_network(name, num_classes, image_size, options)
    if name in known_presets():
        preset = known_presets()[name]
    else:
        require(file is None, "file= is for a preset by its name (dartsminus_tf.presets() lists them)", name)
        preset, file = find_preset(name), name
    unknown = sorted(set(options) - set(preset.options))
    require(not unknown, f"Options of {preset.name} are {', '.join(preset.options)}", ", ".join(unknown))
    return _with_weights(preset, file, num_classes, image_size or preset.image_size, options)


def _with_weights(preset: Preset, file, num_classes: int | None, size: int, options: dict) -> DerivedNetwork:
    naming, tensors = read_preset(preset, file)
    matrix, offset = preset.classifier(naming)
    classes = len(tensors[offset])
    model = build_network(preset.stages, num_classes=num_classes or classes, **preset.network, **options)
    model.preprocessing = preset.preprocessing
    model.build((1, size, size, 3))
    family = family_of(preset.stages)
    slots = family.load(family.preset_slots)(preset, model, naming)
    if model.num_classes != classes:
        slots, tensors = ({k: v for k, v in d.items() if k not in (matrix, offset)} for d in (slots, tensors))
    else:
        model.published = preset.published
    fill_slots(slots, tensors)
    return model


def _zoo_network(name: str, num_classes: int | None, image_size: int | None, options: dict) -> DerivedNetwork:
    """The network of a published genotype, its weights new; by default in the paper's setting for CIFAR."""
    size = image_size or (224 if options.get("stem") == "imagenet" else 32)
    model = build_network(published_genotype(name), num_classes=num_classes or ZOO_CLASSES[zoo_data(name)], **options)
    model.build((1, size, size, 3))
    return model
