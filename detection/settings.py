"""Config files and dotted overrides to one nested dict, checked before TensorFlow is imported."""

import copy
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detection.errors import DetectionError
from safeguards.yaml_text import parse_yaml

# `key=value` up to the next comma outside brackets and quotes.
_PAIR = re.compile(r"\s*([A-Za-z_][\w.]*)\s*=\s*(\[[^\]]*\]|'[^']*'|\"[^\"]*\"|[^,\[]*)\s*(?:,|$)")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def merge_settings(config_files: Iterable[str], overrides: Iterable[str]) -> dict:
    """Reads YAML files in order, then applies overrides; later ones win.

    Args:
      config_files: YAML mappings with the keys of Model Garden's ExperimentConfig.
      overrides: strings of dotted `key=value`, several in one string if separated by commas.

    Raises:
      DetectionError: a file is missing or no mapping, or an override is malformed.
    """
    settings: dict = {}
    for path in config_files:
        _merge(settings, _read_yaml(path))
    for override in overrides:
        for key, value in parse_override(override):
            nested: Any = value
            for part in reversed(key.split(".")):
                nested = {part: nested}
            _merge(settings, nested)
    return settings


def _read_yaml(path: str) -> dict:
    try:
        loaded = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DetectionError(f"--config_file cannot be read ({error.strerror}). Received: {path!r}") from None
    except ValueError as error:
        raise DetectionError(f"--config_file must be YAML ({error}). Received: {path!r}") from None
    if not isinstance(loaded, dict):
        raise DetectionError(f"--config_file must hold a mapping. Received: {type(loaded).__name__} in {path!r}")
    return _with_floats(loaded)


def parse_override(text: str) -> list[tuple[str, Any]]:
    """`"a.b=1, c=[1, 2]"` to `[("a.b", 1), ("c", [1, 2])]`; values are read as YAML.

    Raises:
      DetectionError: the text is not a comma-separated list of `key=value`.
    """
    pairs, position = [], 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if not match or match[1].count(".") > 20:
            raise DetectionError(f"--params_override must be dotted key=value. Received: {text[:200]!r}")
        try:
            pairs.append((match[1], _with_floats(parse_yaml(match[2]))))
        except ValueError:
            raise DetectionError(f"--params_override has an unreadable value. Received: {text[:200]!r}") from None
        position = match.end()
    return pairs


def _with_floats(value: Any) -> Any:
    """YAML 1.1 reads 1e-4 as a string; users mean a number."""
    if isinstance(value, dict):
        return {key: _with_floats(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_floats(entry) for entry in value]
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _merge(into: dict, update: dict) -> None:
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def lookup(settings: dict, dotted: str) -> Any:
    """The value under a dotted key, or None where the path ends early."""
    value: Any = settings
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def layered(base: dict, update: dict) -> dict:
    """`update` laid over a copy of `base`."""
    merged = copy.deepcopy(base)
    _merge(merged, update)
    return merged
