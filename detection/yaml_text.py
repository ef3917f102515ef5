"""YAML of untrusted origin: plain data of reasonable size and depth."""

from typing import Any

import yaml

_MOST_CHARACTERS, _MOST_LEVELS, _LARGEST_INTEGER = 10**6, 50, 2**63
# PyYAML lets the errors of the constructors behind its tags through.
_ERRORS = (yaml.YAMLError, RecursionError, ValueError, KeyError, AttributeError, TypeError, OverflowError)


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader without aliases: nested ones turn a few lines into gigabytes, and no config needs them."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) is not accepted")
        return super().compose_node(parent, index)


class _PlainDumper(yaml.SafeDumper):
    """Writes what `_PlainLoader` reads."""

    def ignore_aliases(self, data):
        return True


def parse_yaml(text: str) -> Any:
    """The value that `text` spells.

    Raises:
      ValueError: it is no YAML, uses an alias or a tag, or is too large or too deep.
    """
    try:
        if len(text) > _MOST_CHARACTERS:
            raise yaml.YAMLError(f"more than {_MOST_CHARACTERS} characters")
        _check_brackets(text)
        tree = yaml.load(text, _PlainLoader)
        _check(tree)
    except _ERRORS as error:
        raise ValueError(" ".join(str(error).split())) from None
    return tree


def dump_yaml(tree: dict) -> str:
    """`tree` as text, its keys sorted."""
    return yaml.dump(tree, Dumper=_PlainDumper, sort_keys=True)


def _check_brackets(text: str) -> None:
    """PyYAML's time grows with the square of the depth, so brackets are counted before."""
    depth = 0
    for char in text:
        depth += (char in "[{") - (char in "]}")
        if depth > _MOST_LEVELS:
            raise yaml.YAMLError(f"it is deeper than {_MOST_LEVELS} levels")


def _check(tree: Any, level: int = 0) -> None:
    if level > _MOST_LEVELS:
        raise yaml.YAMLError(f"deeper than {_MOST_LEVELS} levels")
    if isinstance(tree, int) and abs(tree) >= _LARGEST_INTEGER:
        raise yaml.YAMLError("an integer is too large")
    if isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            _check(value, level + 1)
