"""Rules across the fields of an experiment, each of which would otherwise fail late or lower the AP without a word."""

import math

from official.core import config_definitions as cfg

from dartsminus_tf.foundation.errors import require
from detection.model import manifest, recipe


def check_experiment(params: cfg.ExperimentConfig) -> None:
    """Checks every rule, those on the backbone's manifest included.

    Raises:
      UsageError: naming the field, the rule and the value.
    """
    _check_network(params.task.model)
    _check_trainer(params)
    _check_batches(params.task)
    _check_unused_keys(params)
    model = params.task.model
    if model.backbone.type == "dartsminus":
        backbone = manifest.read_manifest(model.backbone.dartsminus.saved_model)
        manifest.check_levels(backbone, model.min_level, model.max_level)
        _check_fine_tuning(model.backbone.dartsminus, backbone.levels)
    _check_precision(params)


def _check_network(model: recipe.RetinaNet) -> None:
    require(model.num_classes >= 2, "task.model.num_classes must be classes + 1, at least 2", model.num_classes)
    size = list(model.input_size)
    stride = 2**model.max_level
    whole = len(size) == 3 and all(isinstance(s, int) and s > 0 for s in size) and size[2] == 3
    rule = f"task.model.input_size must be [height, width, 3], sides multiples of 2**max_level = {stride}"
    require(whole and not (size[0] % stride or size[1] % stride), rule, size)


def _check_trainer(params: cfg.ExperimentConfig) -> None:
    trainer, strategy = params.trainer, params.runtime.distribution_strategy
    for name in ("train_steps", "steps_per_loop", "validation_interval", "checkpoint_interval", "summary_interval"):
        require(getattr(trainer, name) >= 1, f"trainer.{name} must be at least 1", getattr(trainer, name))
    # With several loops between validations Model Garden cuts the last one short anyway; summaries follow loops.
    rule = f"trainer.summary_interval must be a multiple of steps_per_loop = {trainer.steps_per_loop}"
    require(trainer.summary_interval % trainer.steps_per_loop == 0, rule, trainer.summary_interval)
    rule = "runtime.distribution_strategy must be one_device or mirrored: a detector trains on one machine"
    require(strategy in ("one_device", "mirrored"), rule, strategy)


def _check_batches(task: recipe.DartsMinusRetinaNetTask) -> None:
    for name in ("train_data", "validation_data"):
        data = getattr(task, name)
        both = bool(data.tfds_name) and bool(data.input_path)
        require(not both, f"task.{name} takes input_path or tfds_name, not both", data.input_path)
        size = data.global_batch_size
        require(size >= 1, f"task.{name}.global_batch_size must be at least 1", size)
    require(not task.validation_data.drop_remainder, "task.validation_data.drop_remainder must be false", True)


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


def _check_fine_tuning(backbone: recipe.DartsMinus, levels: list[int]) -> None:
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
