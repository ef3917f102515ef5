"""YAML of untrusted origin: plain data of reasonable size and depth."""

import re
from typing import Any

import yaml

MOST_CHARACTERS, MOST_LEVELS, LARGEST_INTEGER = 10**6, 50, 2**63
# PyYAML lets the errors of the constructors behind its tags through.
_ERRORS = (yaml.YAMLError, RecursionError, ValueError, KeyError, AttributeError, TypeError, OverflowError)


# The core schema of YAML 1.2 (chapter 10.3): in it 010 is ten, 1:30 and 1_0 are texts, and so are yes, no, on and off.
_CORE = {
    "null": (re.compile(r"~|null|Null|NULL|"), ("~", "n", "N", "")),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), tuple("tTfF")),
    "int": (re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), tuple("-+0123456789")),
    "float": (
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        tuple("-+.0123456789"),
    ),
}


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader of the core schema. Aliases are refused: nested ones turn a few lines into gigabytes, and no config
    needs them; so is a key that stands twice in a mapping, where the first would be dropped without a word."""

    yaml_implicit_resolvers: dict = {}

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) is not accepted")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key {twice!r} stands twice in a mapping")
        return super().construct_mapping(node, deep)

    def construct_integer(self, node) -> int:
        text = self.construct_scalar(node)
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


class _PlainDumper(yaml.SafeDumper):
    """Writes what `_PlainLoader` reads."""

    yaml_implicit_resolvers: dict = {}

    def ignore_aliases(self, data):
        return True


for _name, (_pattern, _first) in _CORE.items():
    for _kind in (_PlainLoader, _PlainDumper):
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern.pattern})$"), list(_first))
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_integer)


def parse_yaml(text: str) -> Any:
    """The value that `text` spells: None, booleans, numbers, text, lists and mappings of them.

    Args:
        text: at most a million characters.

    Raises:
        ValueError: one line of at most 500 characters, where it is no YAML, uses a tag or an alias, or is too large
            or too deep.
    """
    try:
        if len(text) > MOST_CHARACTERS:
            raise yaml.YAMLError(f"it has more than {MOST_CHARACTERS} characters")
        _check_brackets(text)
        tree = yaml.load(text, _PlainLoader)
        _check(tree)
    except _ERRORS as error:
        raise ValueError(" ".join(str(error).split())[:500]) from None
    return tree


def dump_yaml(tree: dict, sort_keys: bool = False) -> str:
    """`tree` as text, its keys in their order or sorted."""
    return yaml.dump(tree, Dumper=_PlainDumper, sort_keys=sort_keys)


def _check_brackets(text: str) -> None:
    """PyYAML's time grows with the square of the depth, so brackets are counted before."""
    depth = 0
    for char in text:
        depth += (char in "[{") - (char in "]}")
        if depth > MOST_LEVELS:
            raise yaml.YAMLError(f"it is deeper than {MOST_LEVELS} levels")


def _check(tree: Any, level: int = 0) -> None:
    if level > MOST_LEVELS:
        raise yaml.YAMLError(f"it is deeper than {MOST_LEVELS} levels")
    if isinstance(tree, int) and abs(tree) >= LARGEST_INTEGER:
        raise yaml.YAMLError("an integer is too large")
    if isinstance(tree, dict):
        for key, value in tree.items():
            if not isinstance(key, str):
                raise yaml.YAMLError("a key is not text")
            _check(value, level + 1)
    elif isinstance(tree, list):
        for value in tree:
            _check(value, level + 1)
    elif not (tree is None or isinstance(tree, bool | int | float | str)):
        raise yaml.YAMLError(f"a value is a {type(tree).__name__}")
