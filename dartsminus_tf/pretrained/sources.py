"""Where the weights of a preset are, and what is in them."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.paths import expanded
from dartsminus_tf.pretrained.files import EXTRA, content_of, is_keras, read_tensors
from dartsminus_tf.pretrained.keras_files import keras_tensors, numbers_in
from dartsminus_tf.pretrained.naming import NAMINGS, TRACKED, Shape, naming_of
from dartsminus_tf.pretrained.presets import IMAGENET_CLASSES, PRESETS, Preset

Tensors = dict[str, np.ndarray]


def read_preset(preset: Preset, file: str | Path | None) -> tuple[str, Tensors]:
    """(naming, tensors) of a preset, from `file` or from its own source; every tensor is one that it names.

    Raises:
        UsageError: where the weights cannot be had, or are not the preset's.
    """
    if file is not None:
        return _from_file(preset, expanded(str(file)))
    if preset.source.kind == "keras":
        return "keras", _fitting(preset, keras_tensors(preset.options["width_multiplier"]), "keras")
    if preset.source.kind == "file":
        raise UsageError(f"The weights of {preset.name} are given as file=: {preset.source.text}. Received: no file")
    path = _package_file(preset)
    content = content_of(path)
    if hashlib.sha256(content).hexdigest() != preset.source.sha256:
        raise UsageError(f"The file is not the published one: {preset.source.text}. Received: {path}")
    tensors = read_tensors(content, str(path))
    return preset.namings[0], _fitting(preset, tensors, str(path))


def find_preset(file: str | Path) -> Preset:
    """The preset whose weights `file` holds: names and shapes agree, but for the number of classes.

    Raises:
        UsageError: where it is none's.
    """
    path = expanded(str(file))
    content = content_of(path)
    if is_keras(content):
        numbers = numbers_in(path)
        found = [preset for preset in PRESETS.values() if "keras" in preset.namings and _numbers(preset) == numbers]
        if not found:
            raise UsageError(f"A Keras file of weights is that of a MobileNetV2 with its classifier. Received: {path}")
        return found[0]
    tensors = read_tensors(content, path)
    naming = naming_of(tensors)
    if naming is None:
        names = ", ".join(list(tensors)[:3])
        raise UsageError(f"Nobody whose names are known calls tensors so: {names}. Received: {path}")
    candidates = [preset for preset in PRESETS.values() if naming in preset.namings]
    faults = {preset.name: differences(preset, naming, tensors) for preset in candidates}
    nearest = min(candidates, key=lambda preset: len(faults[preset.name]))
    if faults[nearest.name]:
        raise UsageError(_misfit(nearest, faults[nearest.name], path))
    return nearest


def _from_file(preset: Preset, path: str) -> tuple[str, Tensors]:
    content = content_of(path)
    if not is_keras(content):
        tensors = read_tensors(content, path)
        naming = naming_of(tensors)
        return (naming if naming in preset.namings else preset.namings[0]), _fitting(preset, tensors, path)
    if "keras" not in preset.namings:
        raise UsageError(f"Weights of {preset.name} are in no Keras file. Received: {path}")
    if numbers_in(path) != _numbers(preset):
        rule = f"The weights of {preset.name} are {_numbers(preset):,} numbers, the file's {numbers_in(path):,}"
        raise UsageError(f"{rule}. Received: {path}")
    tensors = keras_tensors(preset.options["width_multiplier"], path)
    return "keras", _fitting(preset, tensors, path)


def _package_file(preset: Preset) -> Path:
    """The file in the preset's package, which is not imported: that would run it."""
    spec = find_spec(preset.source.module)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    found = [path for folder in folders for path in sorted(Path(folder).glob("models/*.pth"))]
    if not found:
        hint = f" ({EXTRA})" if preset.name.startswith("efficientnet_lite0") else ""
        raise UsageError(
            f"The weights of {preset.name} are in a package: {preset.source.text}{hint}, or give file=. "
            "Received: not installed"
        )
    return found[0]


def _fitting(preset: Preset, tensors: Tensors, name: str) -> Tensors:
    """The tensors without PyTorch's counters of batches; UsageError where they are not the preset's, one for one."""
    naming = naming_of(tensors)
    if naming not in preset.namings:
        kinds = " or ".join(preset.namings)
        raise UsageError(f"Tensors of {preset.name} have the names of {kinds}. Received: {name}")
    faults = differences(preset, naming, tensors)
    if faults:
        raise UsageError(_misfit(preset, faults, name))
    return {key: value for key, value in tensors.items() if not key.endswith(TRACKED)}


def differences(preset: Preset, naming: str, tensors: Tensors) -> list[str]:
    """What keeps a file from being the preset's, with the number of classes that its classifier has."""
    about = NAMINGS[naming]
    offset = tensors.get(about.classifier + about.linear_leaves[1])
    classes = len(offset) if offset is not None and offset.ndim == 1 else IMAGENET_CLASSES
    expected = preset.shapes(naming, classes)
    counters = {name.removesuffix("running_mean") + TRACKED for name in expected if name.endswith("running_mean")}
    found: dict[str, Shape] = {name: array.shape for name, array in tensors.items() if name not in counters}
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [f"{name} has no place" for name in found if name not in expected]
    both = [name for name in expected if name in found and found[name] != expected[name]]
    return faults + [f"{name} is {found[name]} and not {expected[name]}" for name in both]


def _misfit(preset: Preset, faults: list[str], name: str) -> str:
    return f"{len(faults)} tensors do not fit {preset.name}: {'; '.join(faults[:3])}. Received: {name}"


def _numbers(preset: Preset) -> int:
    """Of all the weights that a Keras file of the preset holds."""
    return sum(int(np.prod(shape)) for shape in preset.shapes("keras").values())
