"""What a run reads: there, whole, and of the classes that the config says."""

import glob
import json
import os
import re
from pathlib import Path

from official.core import config_definitions as cfg

from dartsminus_tf.foundation.errors import UsageError, require
from detection.coco.annotations import read_annotations
from detection.data import examples, shards, tfds_coco
from detection.data.shards import input_patterns


def check_data(params: cfg.ExperimentConfig, training: bool, model_dir: str) -> dict:
    """Checks that the data and its annotations exist and that every category has an output.

    Returns:
      The evaluation annotations (COCO instances JSON).

    Raises:
      UsageError: a pattern matches no file, a file holds no detection records, or a category id is outside the
        model's classes.
    """
    for name in ("train_data", "validation_data") if training else ("validation_data",):
        data = getattr(params.task, name)
        if data.tfds_name:
            tfds_coco.require_prepared(data)
            continue
        for pattern in input_patterns(data.input_path):
            files = sorted(glob.glob(pattern))
            require(bool(files), f"task.{name}.input_path matches no file (prepare_coco)", pattern)
            rule = f"task.{name}.input_path must match TFRecords that prepare_coco wrote"
            require(examples.is_readable(files[0]), rule, files[0])
    use_tfds_annotations(params, model_dir, write=True)
    annotations = read_annotations(params.task.annotation_file)
    ids = [category["id"] for category in annotations["categories"]]
    rule = f"task.model.num_classes must be the largest category id + 1 = {max(ids) + 1} or more"
    require(max(ids) < params.task.model.num_classes, rule, params.task.model.num_classes)
    require(min(ids) >= 1, "category ids must start at 1, 0 is background; run prepare_coco", min(ids))
    names = {category["id"]: category.get("name") for category in annotations["categories"]}
    for name in ("train_data", "validation_data") if training else ("validation_data",):
        for pattern in input_patterns(getattr(params.task, name).input_path):
            for folder, split in _prepared_splits(pattern):
                _check_split(folder, split, names, params.task.model.num_classes)
    return annotations


def _prepared_splits(pattern: str) -> set[tuple[Path, str]]:
    """Folder and name of the splits that `prepare_coco` wrote whose shards `pattern` matches."""
    splits = {(path.parent, shards.split_of(path.name)) for path in map(Path, glob.glob(pattern))}
    return {(folder, split) for folder, split in splits if (folder / f"stats_{split}.json").is_file()}


def _check_split(folder: Path, split: str, names: dict[int, str], num_classes: int) -> None:
    """Its shards are all there, and its labels mean what the evaluation's annotations say."""
    path = folder / f"stats_{split}.json"
    try:
        stats = json.loads(path.read_text(encoding="utf-8"))
        files = {name: stats["files"][name] for name in stats["files"] if name.endswith(".tfrecord")}
        own_names = {int(number): name for number, name in stats.get("category_names", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"a manifest is damaged; prepare_coco --overwrite. Received: {str(path)!r}") from None
    shards.verify(folder, files, checksums=False)
    for number, name in own_names.items():
        wanted = names.get(number, name)
        rule = (
            f"split {split!r} in {str(folder)!r} must call category {number} {wanted!r}, as task.annotation_file does"
        )
        require(wanted == name, rule, name)
        rule = f"task.model.num_classes must be above {number}, a category of split {split!r}"
        require(number < num_classes, rule, num_classes)


def use_tfds_annotations(params: cfg.ExperimentConfig, model_dir: str, write: bool) -> None:
    """Where validation data are of TFDS, evaluates against a file in `model_dir`, unless the config names one.

    Raises:
      UsageError: the set is not prepared.
    """
    data = params.task.validation_data
    split = re.sub("[^0-9a-zA-Z]+", "_", data.tfds_split).strip("_")
    path = os.path.join(model_dir, f"instances_{split}.json")
    if not data.tfds_name or params.task.annotation_file not in ("", None, path):
        return
    params.task.annotation_file = path
    if write and not os.path.isfile(path):
        tfds_coco.require_prepared(data)
        tfds_coco.write_annotations(data, path)
