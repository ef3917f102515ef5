"""Where the weights of a preset are, and what is in them."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dartsminus_tf.foundation.config.paths import expanded
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.published.files import EXTRA, content_of, is_keras, read_tensors
from dartsminus_tf.pretrained.published.keras_files import keras_tensors, numbers_in
from dartsminus_tf.pretrained.published.table import known_presets
from dartsminus_tf.spaces.preset import IMAGENET_CLASSES, Preset

TRACKED = "num_batches_tracked"  # PyTorch's norms count their batches
Tensors = dict[str, np.ndarray]


def read_preset(preset: Preset, file: str | Path | None) -> tuple[str, Tensors]:
    """(naming, tensors) of a preset, from `file` or from its own source; every tensor is one that it names.

    Raises:
        UsageError: where the weights cannot be had, or are not the preset's.
    """
    if file is not None:
        return _from_file(preset, expanded(str(file)))
    if preset.source.kind == "keras":
        return _fitting(preset, keras_tensors(preset.source.alpha), preset.source.text)
    if preset.source.kind == "file":
        raise UsageError(f"The weights of {preset.name} are given as file=: {preset.source.text}. Received: no file")
    path = _package_file(preset)
    content = content_of(path)
    if hashlib.sha256(content).hexdigest() != preset.source.sha256:
        raise UsageError(f"The file is not the published one: {preset.source.text}. Received: {path}")
    return _fitting(preset, read_tensors(content, str(path)), str(path))


def find_preset(file: str | Path) -> Preset:
    """The preset whose weights `file` holds: names and shapes agree, but for the number of classes.

    Raises:
        UsageError: where it is none's.
    """
    path = expanded(str(file))
    content = content_of(path)
    if is_keras(content):
        numbers = numbers_in(path)
        found = [preset for preset in known_presets().values() if "keras" in preset.namings]
        found = [preset for preset in found if preset.numbers("keras") == numbers]
        if not found:
            raise UsageError(f"A Keras file of weights is that of a preset, with its classifier. Received: {path}")
        return found[0]
    tensors = read_tensors(content, path)
    presets = known_presets().values()
    nearest = min(presets, key=lambda preset: min(len(differences(preset, n, tensors)) for n in preset.namings))
    _fitting(nearest, tensors, path)
    return nearest


def _from_file(preset: Preset, path: str) -> tuple[str, Tensors]:
    content = content_of(path)
    if not is_keras(content):
        return _fitting(preset, read_tensors(content, path), path)
    if "keras" not in preset.namings:
        raise UsageError(f"Weights of {preset.name} are in no Keras file. Received: {path}")
    numbers, wanted = numbers_in(path), preset.numbers("keras")
    if numbers != wanted:
        raise UsageError(
            f"The weights of {preset.name} are {wanted:,} numbers, the file's {numbers:,}. Received: {path}"
        )
    return _fitting(preset, keras_tensors(preset.source.alpha, path), path)


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


def _fitting(preset: Preset, tensors: Tensors, name: str) -> tuple[str, Tensors]:
    """(naming, the tensors without PyTorch's counters of batches).

    Raises:
        UsageError: where they are not the preset's, one for one.
    """
    faults = {naming: differences(preset, naming, tensors) for naming in preset.namings}
    naming = min(faults, key=lambda naming: len(faults[naming]))
    if not set(preset.shapes(naming)) & set(tensors):
        rule = f"Tensors of {preset.name} have other names, those of {' or '.join(preset.namings)}"
        raise UsageError(f"{rule}, and not {', '.join(list(tensors)[:3])}. Received: {name}")
    if faults[naming]:
        first = "; ".join(faults[naming][:3])
        raise UsageError(f"{len(faults[naming])} tensors do not fit {preset.name}: {first}. Received: {name}")
    return naming, {key: value for key, value in tensors.items() if not key.endswith(TRACKED)}


def differences(preset: Preset, naming: str, tensors: Tensors) -> list[str]:
    """What keeps a file from being the preset's, with the number of classes that its classifier has."""
    offset = tensors.get(preset.classifier(naming)[1])
    classes = len(offset) if offset is not None and offset.ndim == 1 else IMAGENET_CLASSES
    expected = preset.shapes(naming, classes)
    counters = {name.removesuffix("running_mean") + TRACKED for name in expected if name.endswith("running_mean")}
    found = {name: array.shape for name, array in tensors.items() if name not in counters}
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [f"{name} has no place" for name in found if name not in expected]
    both = [name for name in expected if name in found and found[name] != expected[name]]
    return faults + [f"{name} is {found[name]} and not {expected[name]}" for name in both]
