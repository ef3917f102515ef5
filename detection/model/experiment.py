"""Settings to a checked Model Garden ExperimentConfig."""

from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import exp_factory

from dartsminus_tf.foundation.errors import UsageError
from detection.data import tfds_coco
from detection.model import recipe
from detection.model.rules import check_experiment

_SEQUENCE = (list, tuple)


def build_experiment(settings: dict, model_dir: str | None = None) -> cfg.ExperimentConfig:
    """`retinanet_dartsminus` with `settings` on top, unknown keys refused and values checked.

    Args:
      settings: nested keys and values.
      model_dir: of the run, which keeps the annotations of validation data of TFDS; None, where nothing is evaluated.

    Raises:
      UsageError: an unknown key, a value of the wrong type or out of range, or missing data.
    """
    params = exp_factory.get_exp_config(recipe.EXPERIMENT)
    _check_known(params, settings, "")
    try:
        params.override(settings, is_strict=True)
        params.validate()
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the config is not valid: {error}") from None
    _resolve(params, model_dir)
    check_experiment(params)
    return params


def _resolve(params: cfg.ExperimentConfig, model_dir: str | None) -> None:
    """Fills in what depends on other fields and on the machine, so that the saved config says what was used."""
    if not params.runtime.num_gpus:
        present = len(tf.config.list_physical_devices("GPU"))
        params.runtime.num_gpus = {"one_device": min(1, present), "mirrored": present}.get(
            params.runtime.distribution_strategy, 0
        )
    backbone = params.task.model.backbone.dartsminus
    if backbone.freeze_batch_norm is None:
        images = params.task.train_data.global_batch_size // max(1, params.runtime.num_gpus)
        backbone.freeze_batch_norm = images < recipe.SMALL_BATCH
    for data in (params.task.train_data, params.task.validation_data):
        if data.tfds_name:
            data.tfds_skip_decoding_feature = "image"  # decoded by our decoder, after shuffling
    validation = params.task.validation_data
    if model_dir and validation.tfds_name and not params.task.annotation_file:
        params.task.annotation_file = tfds_coco.annotation_path(validation, model_dir)


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
