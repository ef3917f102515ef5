"""What a training, or a teacher, can start from, described without TensorFlow: a config is completed by it."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from dartsminus_tf.foundation.config.paths import absolute, expanded
from dartsminus_tf.foundation.disk.digests import digests_of, file_digest
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.own.finished import finished_training
from dartsminus_tf.pretrained.own.manifest import MANIFEST, VARIABLES, read_export
from dartsminus_tf.pretrained.own.searched import finished_search, is_search
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS
from dartsminus_tf.pretrained.published.sources import find_preset
from dartsminus_tf.pretrained.published.table import known_presets
from dartsminus_tf.spaces.find import published
from dartsminus_tf.spaces.preset import IMAGENET_CLASSES, Preset

KINDS = "a preset's name, a file of its weights, a finished run's directory or an exported backbone"


class Described(NamedTuple):
    """A network with weights, as it lies there.

    Attributes:
        kind: "preset", "file" (of a preset's weights), "run" (a finished training), "search" (a finished one, whose
            supernet holds several networks) or "export".
        text: what the user called it, places from the root on.
        network: what `network_from_config` takes; without `num_classes` where a file alone knows them.
        preprocessing: {"mean", "std"} of pixels divided by 255 that it was trained for; empty where nobody knows.
        digest: of the weights, for `data.json`.
        class_names: of its classifier, where they are known.
        seconds: of its own training, where they are known.
    """

    kind: str
    text: str
    network: dict[str, Any]
    preprocessing: dict[str, list[float]]
    digest: str
    class_names: list[str] | None = None
    seconds: float | None = None


def source_text(text: str) -> str:
    """`text` as a run keeps it: the name of a preset, or a place from the root on."""
    stripped = text.strip()
    return stripped if stripped in known_presets() else absolute(stripped)


def describe(text: str) -> Described:
    """What `text` names.

    Raises:
        UsageError: where it is none of `KINDS`, or damaged.
    """
    text = source_text(text)
    if text in known_presets():
        preset = known_presets()[text]
        return _of_preset("preset", text, preset, preset.source.sha256 or preset.source.text)
    name = os.path.basename(text)
    if name in published():
        raise UsageError(f"{name} is a genotype, for which there are no weights. Received: {name!r}")
    path = Path(expanded(text))
    if path.is_dir():
        return _of_folder(text, path)
    if not os.path.lexists(path):
        raise UsageError(f"There is no such preset, file or folder: it is {KINDS}. Received: {text!r}")
    return _of_preset("file", text, find_preset(text), file_digest(path))


def is_there(text: str) -> bool:
    """Whether `text` names a preset, or a place where something is."""
    return text in known_presets() or os.path.lexists(text)


def _of_preset(kind: str, text: str, preset: Preset, digest: str) -> Described:
    network = {"genotype": preset.stages.to_dict(), **preset.network}
    if kind == "preset":
        network["num_classes"] = IMAGENET_CLASSES
    return Described(kind, text, network, preset.preprocessing, digest)


def _of_folder(text: str, path: Path) -> Described:
    if (path / MANIFEST).is_file():
        manifest = read_export(path)
        digest = file_digest(path / f"{VARIABLES}.data-00000-of-00001")
        names = manifest.get("class_names")
        return Described("export", text, manifest["network"], manifest["preprocessing"], digest, names)
    if not (path / "config.yaml").is_file():
        raise UsageError(f"The folder is neither a run nor an export: it is {KINDS}. Received: {text!r}")
    if is_search(path):
        found = finished_search(path)
        about = (found.network, found.preprocessing, found.digest, found.result.get("class_names"))
        return Described("search", text, *about, found.result["seconds"])
    done = finished_training(path)
    result = done.result
    digest = digests_of(result).get(WEIGHTS) or file_digest(done.weights)
    about = (result["network"], result["preprocessing"], digest, result["class_names"], result["seconds"])
    return Described("run", text, *about)
