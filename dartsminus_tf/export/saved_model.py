"""Exports a derived network as a SavedModel backbone: the package's contract with detectors and other users.

Endpoints, all on float32 images [N, H, W, 3] of any size, normalised as the manifest says:

    serve(x)     {"3": ..., "4": ..., "5": ...}, level l having stride 2**l (more levels in some families); inference
    train(x)     the same with batch statistics, updating the moving ones
    classify(x)  logits [N, num_classes]

`backbone_trainable` and `backbone_non_trainable` list the variables that `serve` and `train` use. `manifest.json`
says what the network is, and holds the digests of the files that it belongs to.
"""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.export.card import model_card
from dartsminus_tf.export.count import count
from dartsminus_tf.export.formats import FILES
from dartsminus_tf.export.latency import median_milliseconds, processor
from dartsminus_tf.export.parity import require_parity
from dartsminus_tf.export.portable import RUNNERS, check_formats, export_portable
from dartsminus_tf.foundation.disk.digests import folder_digests, sealed
from dartsminus_tf.foundation.disk.files import write_atomically, write_json
from dartsminus_tf.foundation.disk.folders import new_folder
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import versions
from dartsminus_tf.pretrained.own.manifest import FORMAT, FORMAT_VERSION, MANIFEST
from dartsminus_tf.spaces.find import only_space
from dartsminus_tf.spaces.network import DerivedNetwork, require_finite

CARD = "MODEL_CARD.md"
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def export_backbone(
    model: DerivedNetwork,
    path: str | Path,
    preprocessing: dict | None = None,
    metrics: dict | None = None,
    class_names: list[str] | None = None,
    source_run: str | None = None,
    data: str | None = None,
    recipe: str | None = None,
    formats: Sequence[str] = (),
    space: str | None = None,
) -> Path:
    """Write `model` as a SavedModel, its `manifest.json` and its `MODEL_CARD.md` to `path`, which must be new or empty.

    Args:
        model: a built derived network.
        path: the directory; it appears whole or not at all.
        preprocessing: {"mean": [r, g, b], "std": [r, g, b]} for pixels divided by 255; by default the network's own
            where it came from a preset, else ImageNet's.
        metrics: what the network reached, for the manifest.
        class_names: of the classifier.
        source_run: where it was trained.
        data: the data set's name, for the card; by default that of the published weights that the model holds.
        recipe: the training's resolved config as YAML, for the card.
        formats: further files, "litert" and "onnx" (see `portable`); their latency is measured.
        space: the space that the genotype was searched in, where it is known.

    Returns:
        The path.

    Raises:
        UsageError: where the model is not built or not finite, the path is taken or cannot be, a format is unknown, or
            what was written gives other logits after a reload; nothing is left there then.
    """
    _require_exportable(model, path)
    formats = check_formats(model, formats)
    with new_folder(path) as folder:
        _archive(model).write_out(str(folder), verbose=False)
        require_parity(model, folder)
        manifest = build_manifest(model, preprocessing, metrics or {}, class_names, source_run, space)
        data = data or (model.published or {}).get("data")
        manifest |= {"data": data, **_portable(model, folder, formats)}
        manifest = sealed(manifest, MANIFEST, folder_digests(folder))
        write_json(folder / MANIFEST, manifest)
        write_atomically(folder / CARD, model_card(manifest, recipe))
    return Path(path)


def _require_exportable(model: DerivedNetwork, path: str | Path) -> None:
    if not isinstance(model, DerivedNetwork):
        raise UsageError(f"Only derived networks are exported (see build_network). Received: {type(model).__name__}")
    if not model.built:
        raise UsageError(
            "Call the model once before exporting, so that its variables exist. Received: an unbuilt model"
        )
    require_finite(model, path)


def _archive(model: DerivedNetwork) -> keras.export.ExportArchive:
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec([None, None, None, 3], tf.float32, name="images")]
    archive.add_endpoint("serve", lambda images: model.features(images, training=False), signature)
    archive.add_endpoint("train", lambda images: model.features(images, training=True), signature)
    archive.add_endpoint("classify", lambda images: model(images, training=False), signature)
    variables = model.backbone_variables
    archive.add_variable_collection("backbone_trainable", [v for v in variables if v.trainable])
    archive.add_variable_collection("backbone_non_trainable", [v for v in variables if not v.trainable])
    return archive


def _portable(model: DerivedNetwork, folder: Path, formats: list[str]) -> dict:
    """Write the further files; what the manifest says about them."""
    if not formats:
        return {}
    parity = export_portable(model, folder, formats)
    images = np.zeros((1, *model.image_size, 3), np.float32)
    milliseconds = {name: median_milliseconds(RUNNERS[name](folder / FILES[name]), images) for name in formats}
    return {
        "files": {name: FILES[name] for name in formats},
        "parity": parity,
        "latency": {"milliseconds": milliseconds, "threads": 1, "processor": processor()},
    }


def build_manifest(model: DerivedNetwork, preprocessing, metrics, class_names, source_run, space=None) -> dict:
    """What `manifest.json` holds. Before there was a `family`, `space` held it."""
    preprocessing = preprocessing or model.preprocessing or IMAGENET
    known_size = all(model.image_size)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "space": space or only_space(model.genotype),
        "family": model.family,
        "genotype": model.genotype.to_dict(),
        "network": model.get_config(),
        "levels": model.levels,
        "image_size": list(model.image_size) if known_size else None,
        "preprocessing": {
            "mean": list(preprocessing["mean"]),
            "std": list(preprocessing["std"]),
            "scale": "x / 255 then (x - mean) / std",
            "channels": 3,
        },
        "num_classes": model.num_classes,
        "class_names": class_names,
        **(count(model) if known_size else {"parameters": count(model, 224)["parameters"], "multiply_adds": None}),
        "metrics": metrics,
        "versions": versions(),
        "source_run": source_run,
        "published": model.published,
    }
