"""Dotted overrides as commands take them: `trainer.rate=0.1,sizes=[1,2],data.data_dir=my pictures #2`."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from dartsminus_tf.foundation.config.yaml_text import parse_yaml
from dartsminus_tf.foundation.errors import UsageError

MOST_LEVELS = 20
_NEXT_KEY = re.compile(r"\s*([\w.]+)\s*=")
_OPENS_QUOTE = "=,[{: "  # a quote after one of these opens a text; elsewhere it is an apostrophe
_READ_AS_YAML = ("'", '"', "[", "{")


class Keys(Protocol):
    """What is known of the keys that overrides may set."""

    def knows(self, names: Sequence[str]) -> bool:
        """Whether there is such a key."""

    def holds_text(self, names: Sequence[str]) -> bool:
        """Whether its value is a text."""

    def renamed(self, settings: dict) -> dict:
        """`settings` with old names of keys replaced by their names."""


def parse_overrides(texts: Iterable[str], keys: Keys | None = None) -> list[tuple[list[str], Any]]:
    """[(["key", "subkey"], value), ...] of `key.subkey=value`, several in one text where commas part them.

    A value is YAML 1.2; where the key is known to hold a text, it is taken as it stands, unless it is quoted or `null`.

    Raises:
        UsageError: where an override is malformed, or may be meant in two ways: the line shows how to quote it.
    """
    return [_parse(part, keys) for text in texts for part in _split(text, keys)]


def _split(text: str, keys: Keys | None) -> list[str]:
    """The parts of `a=1,b.c=[2,3]`: split at commas outside brackets and quotes that stand before another `key=`."""
    parts, start, depth, quote = [], 0, 0, ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"" and text[index - 1 : index] in _OPENS_QUOTE:
            quote = char
        elif char == "," and depth == 0 and (following := _NEXT_KEY.match(text, index + 1)):
            parts.append(text[start:index])
            _require_key(following[1], parts[-1], text, keys)
            start = index + 1
        depth += 0 if quote else (char in "[{(") - (char in "]})")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _require_key(name: str, before: str, text: str, keys: Keys | None) -> None:
    """A comma before something that is no key may belong to the text before it."""
    names = _names(before.partition("=")[0])
    if keys is None or keys.knows(_names(name)) or not keys.holds_text(names):
        return
    rest = text[text.index(before) :].partition("=")[2]
    quoted = f"{'.'.join(names)}={_quoted(rest)}"
    raise UsageError(f"Unknown config key {name!r}; if it belongs to the value before it, quote that: {quoted}")


def _parse(override: str, keys: Keys | None) -> tuple[list[str], Any]:
    key, equals, text = override.partition("=")
    names, text = _names(key), text.strip()
    if not equals or not all(names) or len(names) > MOST_LEVELS:
        raise UsageError(f"An override has the form key.subkey=value. Received: {override[:200]!r}")
    if keys is not None and keys.holds_text(names) and text != "null" and not text.startswith(_READ_AS_YAML):
        return names, text
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"The value of override {key[:200]!r} is not valid YAML: {error}") from None
    if not text.startswith(_READ_AS_YAML) and (isinstance(value, dict) or " #" in text):
        raise UsageError(
            f"A value with ': ' or ' #' may be meant in two ways: write {key}={_quoted(text)} for a text. "
            f"Received: {override[:200]!r}"
        )
    return names, value


def _names(key: str) -> list[str]:
    return [name.strip() for name in key.split(".")]


def _quoted(text: str) -> str:
    return "'" + text.strip()[:200].replace("'", "''") + "'"
