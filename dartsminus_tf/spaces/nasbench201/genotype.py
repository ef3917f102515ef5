"""The genotype of a NAS-Bench-201 cell: one operation for each of its six edges.

Arch string: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, nodes 1 to 3 from left to right, the state that is read after the
tilde. JSON form: {"arch": "|...|"}.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.genotype import CellGraph, Genotype, shortened

PRIMITIVES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 3
EDGES = tuple((source, node) for node in range(1, NODES + 1) for source in range(node))

_SHORT = {"none": "-", "skip_connect": "skip", "nor_conv_1x1": "1x1", "nor_conv_3x3": "3x3", "avg_pool_3x3": "avg"}
_ENTRY = re.compile(r"([a-z0-9_]+)~([0-9])")


@dataclass(frozen=True)
class BenchmarkGenotype(Genotype):
    """A cell of NAS-Bench-201.

    Args:
        arch: the arch string.

    Raises:
        UsageError: where it is malformed or names another operation.
    """

    fields = ("arch",)
    text_form = "an arch string |op~0|+|op~0|op~1|+..."

    arch: str

    def __post_init__(self):
        object.__setattr__(self, "_ops", _read(self.arch))

    @classmethod
    def of(cls, ops) -> "BenchmarkGenotype":
        """The cell of six operation names, in the order of `EDGES`: 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2."""
        ops, nodes = list(ops), []
        for node in range(1, NODES + 1):
            entries = [f"{op}~{source}" for op, (source, target) in zip(ops, EDGES, strict=True) if target == node]
            nodes.append(f"|{'|'.join(entries)}|")
        return cls("+".join(nodes))

    @classmethod
    def parse(cls, text: str) -> "BenchmarkGenotype | None":
        """Read an arch string."""
        return cls(text) if text.startswith("|") else None

    @property
    def ops(self) -> tuple[str, ...]:
        """The operation of every edge, in the order of `EDGES`."""
        return self._ops

    @property
    def operations(self) -> dict[str, tuple[str, ...]]:
        return {"cell": self._ops}

    @property
    def graphs(self) -> dict[str, CellGraph]:
        names = ("input", "node 1", "node 2", "output")
        edges = zip(EDGES, self._ops, strict=True)
        return {"cell": CellGraph(names, tuple((source, target, op) for (source, target), op in edges if op != "none"))}

    @property
    def short(self) -> str:
        """ "3x3 / skip 1x1 / - skip avg": a slash between nodes."""
        names = [_SHORT[op] for op in self._ops]
        return f"{names[0]} / {' '.join(names[1:3])} / {' '.join(names[3:])}"

    def to_dict(self) -> dict:
        return {"arch": self.arch}

    def __str__(self) -> str:
        return self.arch


def every_genotype() -> Iterator[BenchmarkGenotype]:
    """All 15,625 cells."""
    return map(BenchmarkGenotype.of, itertools.product(PRIMITIVES, repeat=len(EDGES)))


def _read(arch) -> tuple[str, ...]:
    """The six operations of an arch string."""
    problem = (
        f"An arch string has the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2| with operations {', '.join(PRIMITIVES)}. "
        f"Received: {shortened(arch)}"
    )
    if not isinstance(arch, str) or len(arch) > 200:
        raise UsageError(problem)
    nodes, found = arch.split("+"), []
    for number, node in enumerate(nodes, start=1):
        entries = [_ENTRY.fullmatch(entry) for entry in node[1:-1].split("|")]
        if node[:1] != "|" or node[-1:] != "|" or not all(entries):
            raise UsageError(problem)
        found += [(entry[1], (int(entry[2]), number)) for entry in entries]
    if tuple(place for _, place in found) != EDGES or any(op not in PRIMITIVES for op, _ in found):
        raise UsageError(problem)
    return tuple(op for op, _ in found)
