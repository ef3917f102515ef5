"""Where a variable stands in its network, by names that are the same in every process."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import keras

Value = TypeVar("Value")
_NUMBERED = re.compile(r"(.*?)(?:_(\d+))?")


def by_place(found: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """{place: value} of [(path of a variable as Keras calls it, value)] of one network.

    Keras numbers layers by all that a process has made: `conv_7` in one network is `conv_107` in the next. A place has
    their rank among the layers of their kind in the layer above, and no name of the network itself:
    `mobile_stem/conv_norm_activation.1/norm/gamma`. Places are in the order of `found`.
    """
    found = [(path.removesuffix(":0").split("/")[1:], value) for path, value in found]
    return {place: value for place, (_, value) in zip(_places([parts for parts, _ in found]), found, strict=True)}


def places_of(network: keras.Model) -> dict[str, keras.Variable]:
    """{place: variable} of a built network, wherever it was built."""
    above = network.path.rpartition("/")[0]
    return by_place((variable.path.removeprefix(f"{above}/"), variable) for variable in network.variables)


def _places(paths: list[list[str]]) -> list[str]:
    ranks = _ranks(paths)
    return ["/".join(_ranked(tuple(parts[: i + 1]), ranks) for i in range(len(parts))) for parts in paths]


def _ranked(prefix: tuple[str, ...], ranks: Mapping[tuple[str, ...], int]) -> str:
    base, rank = _NUMBERED.fullmatch(prefix[-1])[1], ranks[prefix]
    return f"{base}.{rank}" if rank else base


def _ranks(paths: list[list[str]]) -> dict[tuple[str, ...], int]:
    """{prefix of a path: its rank among the siblings whose names differ in their number alone}."""
    siblings: dict[tuple, dict[tuple[str, ...], int]] = {}
    for parts in paths:
        for end in range(1, len(parts) + 1):
            prefix = tuple(parts[:end])
            base, number = _NUMBERED.fullmatch(prefix[-1]).groups()
            siblings.setdefault((prefix[:-1], base), {})[prefix] = int(number or -1)
    ordered = (sorted(group, key=group.__getitem__) for group in siblings.values())
    return {prefix: rank for group in ordered for rank, prefix in enumerate(group)}
