"""Nested settings out of YAML files and overrides, laid over each other, looked up and compared."""

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dartsminus_tf.foundation.config.overrides import Keys, parse_overrides
from dartsminus_tf.foundation.config.yaml_text import parse_yaml
from dartsminus_tf.foundation.errors import UsageError


def read_settings(files: Iterable[str | Path], overrides: Iterable[str], keys: Keys | None = None) -> dict:
    """The files laid over each other in their order, then the overrides.

    Args:
        files: YAML mappings.
        overrides: `key.subkey=value`, see `overrides`.
        keys: what is known of the keys.

    Raises:
        UsageError: where a file or an override cannot be read.
    """
    layers = [read_mapping(file) for file in files]
    layers += [nested(names, value) for names, value in parse_overrides(overrides, keys)]
    settings: dict = {}
    for layer in layers:
        merge(settings, keys.renamed(layer) if keys is not None else layer)
    return settings


def read_mapping(file: str | Path) -> dict:
    """The mapping that a YAML file holds.

    Raises:
        UsageError: where it cannot be read or holds anything else.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UsageError(f"Cannot read config file ({reason}). Received: {file}") from None
    tree = _value(text, str(file))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UsageError(f"A config file holds keys and values at its top. Received: {file}")
    return tree


def nested(names: Sequence[str], value: Any) -> dict:
    """`{"a": {"b": value}}` of `["a", "b"]`."""
    for name in reversed(names):
        value = {name: value}
    return value


def merge(settings: dict, update: dict) -> None:
    """Lays `update` over `settings`, in place."""
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(settings.get(key), dict):
            merge(settings[key], value)
        else:
            settings[key] = value


def layered(base: dict, update: dict) -> dict:
    """`update` laid over a copy of `base`."""
    merged = copy.deepcopy(base)
    merge(merged, update)
    return merged


def lookup(settings: dict, dotted: str) -> Any:
    """The value under a dotted key, or None where the path ends early."""
    value: Any = settings
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def differences(before: dict, now: dict) -> dict[str, tuple[Any, Any]]:
    """{dotted key: (value before, value now)} of what differs, in the order of the keys; None is an absent value."""
    old, new = _flat(before), _flat(now)
    keys = sorted(old.keys() | new.keys())
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {name: leaf for key, entry in value.items() for name, leaf in _flat(entry, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): list(value) if isinstance(value, tuple) else value}


def _value(text: str, what: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"{what} is not valid YAML: {error}") from None
