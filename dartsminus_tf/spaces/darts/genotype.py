"""The genotype of a DARTS cell space: which operation reads which state, for the normal and the reduction cell.

JSON form: {"normal": [[op, state], ...], "normal_concat": [...], "reduce": [...], "reduce_concat": [...]}. Entries
2i and 2i + 1 feed node i + 2; states 0 and 1 are the outputs of the two cells before. The order of entries is kept.
"""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.genotype import CellGraph, Genotype, shortened

Entries = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class CellGenotype(Genotype):
    """A normal and a reduction cell.

    Args:
        normal, reduce: (operation, state) entries, two for every node.
        normal_concat, reduce_concat: the states whose concatenation is the cell's output.

    Raises:
        UsageError: on anything malformed, and where a node reads a state that is not before it.
    """

    fields = ("normal", "normal_concat", "reduce", "reduce_concat")
    text_form = "Genotype(normal=[...], ...)"

    normal: Entries
    normal_concat: tuple[int, ...]
    reduce: Entries
    reduce_concat: tuple[int, ...]

    def __post_init__(self):
        for cell in ("normal", "reduce"):
            entries = _entries(cell, getattr(self, cell))
            object.__setattr__(self, cell, entries)
            concat = _concat(f"{cell}_concat", getattr(self, f"{cell}_concat"), len(entries) // 2)
            object.__setattr__(self, f"{cell}_concat", concat)

    def check_primitives(self, names: Iterable[str], where: str) -> None:
        """Raise UsageError if an operation is not among `names`."""
        known = set(names)
        for op, _ in self.normal + self.reduce:
            if op not in known:
                raise UsageError(
                    f"The genotype names an operation that {where} lacks; it has {', '.join(sorted(known))}. "
                    f"Received: {op!r}"
                )

    @property
    def operations(self) -> dict[str, tuple[str, ...]]:
        return {cell: tuple(op for op, _ in getattr(self, cell)) for cell in ("normal", "reduce")}

    @property
    def graphs(self) -> dict[str, CellGraph]:
        result = {}
        for cell, entries in (("normal", self.normal), ("reduce", self.reduce)):
            names = ("cell k-2", "cell k-1", *(f"node {node}" for node in range(2, len(entries) // 2 + 2)))
            edges = tuple((state, index // 2 + 2, op) for index, (op, state) in enumerate(entries))
            result[cell] = CellGraph(names, edges)
        return result

    @property
    def short(self) -> str:
        """ "N sep3:0 skip:1 / ... R ...": a slash between nodes, the state after the operation."""
        cells = []
        for kind, letter in (("normal", "N"), ("reduce", "R")):
            entries = [f"{short_name(name)}:{state}" for name, state in getattr(self, kind)]
            nodes = [" ".join(entries[first : first + 2]) for first in range(0, len(entries), 2)]
            cells.append(f"{letter} {' / '.join(nodes)}")
        return " ".join(cells)

    def to_dict(self) -> dict:
        """The JSON form as Python lists."""
        return {
            "normal": [list(entry) for entry in self.normal],
            "normal_concat": list(self.normal_concat),
            "reduce": [list(entry) for entry in self.reduce],
            "reduce_concat": list(self.reduce_concat),
        }

    def __str__(self) -> str:
        """The form that DARTS code prints: `Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`."""
        fields = ", ".join(f"{name}={_python_form(getattr(self, name))}" for name in self.fields)
        return f"Genotype({fields})"

    @classmethod
    def parse(cls, text: str) -> "CellGenotype | None":
        """Read what DARTS code prints, `range(2, 6)` included."""
        if not text.startswith("Genotype("):
            return None
        problem = f"Not a genotype of the form Genotype(normal=[...], ...). Received: {shortened(text)}"
        try:
            call = ast.parse(text, mode="eval").body
            if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "Genotype" or call.args:
                raise UsageError(problem)
            return cls.from_dict({keyword.arg: _literal(keyword.value) for keyword in call.keywords})
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
            raise error if isinstance(error, UsageError) else UsageError(problem) from None


def short_name(primitive: str) -> str:
    """ "sep3" for "sep_conv_3x3", "max" for "max_pool_3x3", "skip" for "skip_connect"."""
    kind, *rest = primitive.split("_")
    size = rest[-1][0] if len(rest) == 2 and rest[0] == "conv" else ""
    return kind + size if kind in ("sep", "dil", "max", "avg", "skip") else primitive


def _literal(node: ast.expr):
    """A literal, or `range(a, b)` of small literals."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "range" and not node.keywords:
        bounds = [ast.literal_eval(argument) for argument in node.args]
        if len(bounds) in (1, 2) and all(type(bound) is int and 0 <= bound <= 100 for bound in bounds):
            return list(range(*bounds))
        raise ValueError("range")
    return ast.literal_eval(node)


def _entries(cell: str, entries) -> Entries:
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries or len(entries) % 2:
        raise UsageError(
            f"'{cell}' of a genotype lists two [operation, state] entries a node. Received: {shortened(entries)}"
        )
    result = []
    for index, entry in enumerate(entries):
        pair = tuple(entry) if isinstance(entry, Sequence) and not isinstance(entry, str) else ()
        if len(pair) != 2 or not isinstance(pair[0], str) or type(pair[1]) is not int:
            raise UsageError(f"Entry {index} of '{cell}' must be [operation, state]. Received: {shortened(entry)}")
        node = index // 2 + 2
        if not 0 <= pair[1] < node:
            raise UsageError(
                f"Entry {index} of '{cell}' feeds node {node}, so it must read a state in 0..{node - 1} "
                f"(a later one makes a cycle). Received: {pair[1]}"
            )
        result.append(pair)
    return tuple(result)


def _concat(field: str, states, nodes: int) -> tuple[int, ...]:
    if isinstance(states, range):
        states = list(states)
    valid = isinstance(states, Sequence) and not isinstance(states, str) and len(states) > 0
    if not valid or any(type(state) is not int or not 0 <= state < nodes + 2 for state in states):
        raise UsageError(f"'{field}' lists states in 0..{nodes + 1}. Received: {shortened(states)}")
    if len(set(states)) != len(states):
        raise UsageError(f"'{field}' must not repeat a state. Received: {shortened(states)}")
    return tuple(states)


def _python_form(value) -> str:
    return repr([tuple(item) if isinstance(item, tuple) else item for item in value])
