"""Config files and dotted overrides to one nested dict, checked before TensorFlow is imported."""

import copy
from collections.abc import Iterable
from typing import Any

from detection.errors import DetectionError
from safeguards import nested_settings


def merge_settings(config_files: Iterable[str], overrides: Iterable[str]) -> dict:
    """Reads YAML files in order, then applies overrides; later ones win.

    Args:
      config_files: YAML mappings with the keys of Model Garden's ExperimentConfig.
      overrides: strings of dotted `key=value`, several in one string if separated by commas.

    Raises:
      DetectionError: a file is missing or no mapping, or an override is malformed.
    """
    try:
        return nested_settings.read_settings(config_files, overrides)
    except ValueError as error:
        raise DetectionError(str(error)) from None


def lookup(settings: dict, dotted: str) -> Any:
    """The value under a dotted key, or None where the path ends early."""
    value: Any = settings
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def layered(base: dict, update: dict) -> dict:
    """`update` laid over a copy of `base`."""
    merged = copy.deepcopy(base)
    nested_settings.merge(merged, update)
    return merged
