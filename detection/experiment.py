"""Settings to a checked Model Garden ExperimentConfig."""

import glob
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import performance

from dartsminus_tf.foundation.errors import UsageError, require
from detection import coco_examples, configs, manifest, shards, tfds_coco

_SEQUENCE = (list, tuple)


def build_experiment(settings: dict) -> cfg.ExperimentConfig:
    """`retinanet_dartsminus` with `settings` on top, unknown keys refused and values checked.

    Raises:
      UsageError: an unknown key, a value of the wrong type or out of range, or missing data.
    """
    params = exp_factory.get_exp_config(configs.EXPERIMENT)
    _check_known(params, settings, "")
    try:
        params.override(settings, is_strict=True)
        params.validate()
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the config is not valid: {error}") from None
    _resolve(params)
    check_experiment(params)
    return params


def _resolve(params: cfg.ExperimentConfig) -> None:
    """Fills in what depends on other fields and on the machine, so that the saved config says what was used."""
    if not params.runtime.num_gpus:
        present = len(tf.config.list_physical_devices("GPU"))
        params.runtime.num_gpus = {"one_device": min(1, present), "mirrored": present}.get(
            params.runtime.distribution_strategy, 0
        )
    backbone = params.task.model.backbone.dartsminus
    if backbone.freeze_batch_norm is None:
        images = params.task.train_data.global_batch_size // max(1, params.runtime.num_gpus)
        backbone.freeze_batch_norm = images < configs.SMALL_BATCH
    for data in (params.task.train_data, params.task.validation_data):
        if data.tfds_name:
            data.tfds_skip_decoding_feature = "image"  # decoded by our decoder, after shuffling


def _check_known(config: Any, settings: dict, prefix: str) -> None:
    """Model Garden checks keys itself, but not types: `train_steps: abc` would fail deep in the run."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if not isinstance(key, str) or key.startswith("_") or key not in vars(config):
            known = ", ".join(sorted(k for k in vars(config) if not k.startswith("_")))
            raise UsageError(f"unknown key {name!r}; known here: {known}. Received: {name}={value!r}")
        current = getattr(config, key)
        if isinstance(value, dict):
            if hasattr(current, "as_dict"):
                _check_known(current, value, f"{name}.")
            elif isinstance(current, int | float | str) and current not in ("", 0):
                raise UsageError(f"{name} must be a single value. Received: {value!r}")
        elif not _fits(current, value):
            raise UsageError(f"{name} must be {_kind(current)}. Received: {value!r}")


def _fits(current: Any, value: Any) -> bool:
    if current is None or value is None:
        return True
    if isinstance(current, bool) or isinstance(value, bool):
        return isinstance(current, bool) and isinstance(value, bool)
    if isinstance(current, int):
        return isinstance(value, int)
    if isinstance(current, float):
        return isinstance(value, int | float)
    if isinstance(current, _SEQUENCE):
        return isinstance(value, _SEQUENCE)
    if hasattr(current, "as_dict"):
        return False
    return isinstance(value, str) or (isinstance(value, list) and current == "")


def _kind(current: Any) -> str:
    if hasattr(current, "as_dict"):
        return "a mapping"
    return {bool: "true or false", int: "an integer", float: "a number", str: "text"}.get(type(current), "a list")


def check_experiment(params: cfg.ExperimentConfig) -> None:
    """Rules across fields, each of which would otherwise fail late or lower the AP without a word.

    Raises:
      UsageError: naming the field, the rule and the value.
    """
    model, trainer = params.task.model, params.trainer
    require(model.num_classes >= 2, "task.model.num_classes must be classes + 1, at least 2", model.num_classes)
    size = list(model.input_size)
    stride = 2**model.max_level
    whole = len(size) == 3 and all(isinstance(s, int) and s > 0 for s in size) and size[2] == 3
    rule = f"task.model.input_size must be [height, width, 3], sides multiples of 2**max_level = {stride}"
    require(whole and not (size[0] % stride or size[1] % stride), rule, size)
    for name in (
        "train_steps",
        "steps_per_loop",
        "validation_interval",
        "checkpoint_interval",
        "summary_interval",
    ):
        require(getattr(trainer, name) >= 1, f"trainer.{name} must be at least 1", getattr(trainer, name))
    for name in ("train_data", "validation_data"):
        data = getattr(params.task, name)
        both = bool(data.tfds_name) and bool(data.input_path)
        require(not both, f"task.{name} takes input_path or tfds_name, not both", data.input_path)
        require(
            data.global_batch_size >= 1,
            f"task.{name}.global_batch_size must be at least 1",
            data.global_batch_size,
        )
    require(
        not params.task.validation_data.drop_remainder,
        "task.validation_data.drop_remainder must be false",
        True,
    )
    # With several loops between validations Model Garden cuts the last one short anyway; summaries follow
    # loops.
    require(
        trainer.summary_interval % trainer.steps_per_loop == 0,
        f"trainer.summary_interval must be a multiple of steps_per_loop = {trainer.steps_per_loop}",
        trainer.summary_interval,
    )
    strategy = params.runtime.distribution_strategy
    rule = "runtime.distribution_strategy must be one_device or mirrored: a detector trains on one machine"
    require(strategy in ("one_device", "mirrored"), rule, strategy)
    _check_unused_keys(params)
    if model.backbone.type == "dartsminus":
        backbone = manifest.read_manifest(model.backbone.dartsminus.saved_model)
        manifest.check_levels(backbone, model.min_level, model.max_level)
        _check_fine_tuning(model.backbone.dartsminus, backbone.levels)
    _check_precision(params)


def _check_unused_keys(params: cfg.ExperimentConfig) -> None:
    """Refuses values of Model Garden's keys that nothing here reads, or that would fail at the first validation."""
    task, trainer = params.task, params.trainer
    generator = task.model.detection_generator
    for name, wanted, value in (
        ("task.use_coco_metrics", True, task.use_coco_metrics),
        ("task.use_wod_metrics", False, task.use_wod_metrics),
        ("task.allow_image_summary", False, task.allow_image_summary),
        ("task.train_data.decoder.type", "simple_decoder", task.train_data.decoder.type),
        ("task.validation_data.decoder.type", "simple_decoder", task.validation_data.decoder.type),
        ("trainer.eval_tf_while_loop", False, trainer.eval_tf_while_loop),
        ("trainer.best_checkpoint_export_subdir", "", trainer.best_checkpoint_export_subdir),
    ):
        require(value == wanted, f"{name} must be {wanted!r}", value)
    if generator.nms_version == "batched":
        default = type(generator)().pre_nms_top_k
        rule = "task.model.detection_generator.pre_nms_top_k is for nms_version v1 and v2, not for batched"
        require(generator.pre_nms_top_k == default, rule, generator.pre_nms_top_k)
    averages = trainer.optimizer_config.ema
    rule = "trainer.optimizer_config.ema.trainable_weights_only must be true"
    require(averages is None or averages.trainable_weights_only, rule, False)


def _check_fine_tuning(backbone: configs.DartsMinus, levels: list[int]) -> None:
    name = "task.model.backbone.dartsminus"
    frozen, level = backbone.freeze_batch_norm, backbone.frozen_level
    require(isinstance(frozen, bool), f"{name}.freeze_batch_norm must be true, false or null", frozen)
    rate = backbone.learning_rate_multiplier
    require(0 < rate < math.inf, f"{name}.learning_rate_multiplier must be above 0 (task.freeze_backbone)", rate)
    decay = backbone.l2_weight_decay
    valid = decay is None or (isinstance(decay, int | float) and not isinstance(decay, bool) and 0 <= decay < math.inf)
    require(valid, f"{name}.l2_weight_decay must be at least 0 or null", decay)
    if level is not None:
        known = isinstance(level, int) and not isinstance(level, bool) and level in levels
        require(known, f"{name}.frozen_level must be one of the backbone's levels {levels} or null", level)
        require(frozen, f"{name}.frozen_level needs freeze_batch_norm=true", frozen)


def _check_precision(params: cfg.ExperimentConfig) -> None:
    precision = params.runtime.mixed_precision_dtype
    known = ("float32", "bfloat16", "float16")
    require(precision in known, f"runtime.mixed_precision_dtype must be one of {', '.join(known)}", precision)
    averaged = params.trainer.optimizer_config.ema is not None
    rule = "trainer.optimizer_config.ema works with float32 and bfloat16 only (runtime.mixed_precision_dtype)"
    require(not (averaged and precision == "float16"), rule, precision)  # Model Garden loses the average there
    for name in ("train_data", "validation_data"):
        dtype = getattr(params.task, name).dtype
        require(dtype == "float32", f"task.{name}.dtype must be float32; the network casts", dtype)


def check_batches(params: cfg.ExperimentConfig, replicas: int) -> None:
    """Checks that batches can be shared out among the devices.

    Raises:
      UsageError: a batch size is no multiple of their number.
    """
    for name in ("train_data", "validation_data"):
        size = getattr(params.task, name).global_batch_size
        rule = f"task.{name}.global_batch_size must be a multiple of the {replicas} devices"
        require(size % replicas == 0, rule, size)


def check_devices(params: cfg.ExperimentConfig) -> None:
    """Checks that the accelerators which the config asks for are there.

    Raises:
      UsageError: there are fewer.
    """
    present = len(tf.config.list_physical_devices("GPU"))
    rule = f"runtime.num_gpus must be at most {present}, the GPUs of this machine (0: distribution_strategy=one_device)"
    require(params.runtime.num_gpus <= present, rule, params.runtime.num_gpus)


def set_precision(params: cfg.ExperimentConfig) -> None:
    """Sets the global policy that layers are built with; the backbone's SavedModel stays float32 inside."""
    performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype)


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
            require(coco_examples.is_readable(files[0]), rule, files[0])
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


def input_patterns(input_path: Any) -> list[str]:
    """File patterns of a DataConfig's `input_path`: a list, or text with commas."""
    parts = input_path if isinstance(input_path, _SEQUENCE) else [input_path]
    patterns = [p.strip() for part in parts for p in str(part).split(",") if p.strip()]
    return patterns or [""]


def read_annotations(path: str | None) -> dict:
    """The instances JSON that evaluation runs against.

    Raises:
      UsageError: it is missing or not an instances JSON.
    """
    try:
        with open(path or "", encoding="utf-8") as file:
            annotations = json.load(file)
        complete = all(annotations[key] for key in ("images", "categories")) and "annotations" in annotations
    except (OSError, ValueError, KeyError, TypeError):
        complete = False
    require(complete, "task.annotation_file must be the instances JSON that prepare_coco wrote", path)
    return annotations
