"""What a run reads: there, whole, and of the classes that the config says. Nothing is written."""

import os
import re
from pathlib import Path

from official.core import config_definitions as cfg

from dartsminus_tf.foundation.errors import require
from detection.coco.annotations import Labels, labels_of, read_labels
from detection.data import examples, shards, tfds_coco
from detection.data.shards import input_patterns, matching_files
from detection.data.splits import prepared_splits
from detection.data.stats import read_stats, stats_path


def check_data(params: cfg.ExperimentConfig, training: bool, model_dir: str) -> Labels:
    """Checks that the data and its annotations exist and that every category has an output.

    Returns:
      The labels of the validation data. Where TFDS has the data, and `model_dir` not yet their annotations, these are
      made here; `annotations.write_where_missing` writes them once the directory is the run's.

    Raises:
      UsageError: a pattern matches no file, a file holds no detection records, a split is half prepared, or a
        category id is outside the model's classes.
    """
    names = ("train_data", "validation_data") if training else ("validation_data",)
    for name in names:
        _check_source(name, getattr(params.task, name))
    splits = set().union(*(prepared_splits(input_patterns(getattr(params.task, name).input_path)) for name in names))
    labels = _evaluation_labels(params, model_dir)
    smallest, largest, num_classes = min(labels.names), max(labels.names), params.task.model.num_classes
    rule = f"task.model.num_classes must be the largest category id + 1 = {largest + 1} or more"
    require(largest < num_classes, rule, num_classes)
    require(smallest >= 1, "category ids must start at 1, 0 is background; run prepare_coco", smallest)
    for folder, split in sorted(splits):
        _check_split(folder, split, labels.names, num_classes)
    return labels


def _check_source(name: str, data: cfg.DataConfig) -> None:
    """The files, or the set of TFDS, are there."""
    if data.tfds_name:
        tfds_coco.require_prepared(data)
        return
    for pattern in input_patterns(data.input_path):
        files = matching_files(pattern)
        require(bool(files), f"task.{name}.input_path matches no file (prepare_coco)", pattern)
        rule = f"task.{name}.input_path must match TFRecords that prepare_coco wrote"
        require(examples.is_readable(files[0]), rule, files[0])


def _evaluation_labels(params: cfg.ExperimentConfig, model_dir: str) -> Labels:
    data, path = params.task.validation_data, params.task.annotation_file
    if data.tfds_name and path == tfds_coco.annotation_path(data, model_dir) and not os.path.isfile(path):
        return labels_of(tfds_coco.make_annotations(data))
    return prepared_labels(path)


def prepared_labels(annotation_file: str) -> Labels:
    """The labels of an instances JSON, which is what `prepare_coco` wrote where its manifest lies beside it.

    Raises:
      UsageError: it is missing, none, or another than the manifest says.
    """
    path = Path(annotation_file)
    match = re.fullmatch(r"instances_(.+)\.json", path.name)
    if match and path.is_file() and (manifest := stats_path(path.parent, match[1])).is_file():
        digests = {name: entry.model_dump() for name, entry in read_stats(manifest).files.items() if name == path.name}
        shards.verify(path.parent, digests)
    return read_labels(annotation_file)


def _check_split(folder: Path, split: str, names: dict[int, str], num_classes: int) -> None:
    """Its shards are all there and whole, and its labels mean what the evaluation's annotations say."""
    stats = read_stats(stats_path(folder, split))
    records = {name: entry.model_dump() for name, entry in stats.files.items() if name.endswith(".tfrecord")}
    shards.verify(folder, records)
    for number, name in stats.category_names.items():
        wanted = names.get(number, name)
        rule = (
            f"split {split!r} in {str(folder)!r} must call category {number} {wanted!r}, as task.annotation_file does"
        )
        require(wanted == name, rule, name)
        rule = f"task.model.num_classes must be above {number}, a category of split {split!r}"
        require(number < num_classes, rule, num_classes)
