"""The DARTS family of cell spaces: which candidates each edge of the normal and the reduction cell offers.

A cell has two inputs (states 0 and 1) and four nodes (states 2 to 5); every node reads every state before it.
"""

from dataclasses import dataclass
from typing import ClassVar

from dartsminus_tf.ops.candidates import Edge
from dartsminus_tf.spaces.options import SupernetOptions

NODES = 4


def cell_edges(reduction: bool, nodes: int = NODES) -> list[Edge]:
    """The edges in the order of alpha's rows: 2<-0, 2<-1, 3<-0, 3<-1, 3<-2, ... In a reduction cell those that leave
    the cell's inputs have stride 2."""
    return [
        Edge(source, node, 2 if reduction and source < 2 else 1)
        for node in range(2, nodes + 2)
        for source in range(node)
    ]


@dataclass(frozen=True)
class CellSpace:
    """A space of DARTS cells.

    Args:
        name: as users write it.
        normal, reduce: for every edge, the names of its candidates. All edges have the same number of them.
    """

    defaults: ClassVar[dict[str, int]] = {"channels": 16, "layers": 8}

    name: str
    normal: tuple[tuple[str, ...], ...]
    reduce: tuple[tuple[str, ...], ...]

    @property
    def primitives(self) -> tuple[str, ...]:
        """Every primitive of the space, sorted."""
        return tuple(sorted({name for cell in (self.normal, self.reduce) for edge in cell for name in edge}))

    @property
    def candidates(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """{kind of cell: the names of every edge's candidates}."""
        return {"normal": self.normal, "reduce": self.reduce}

    def build_supernet(self, channels: int, layers: int, num_classes: int, options: SupernetOptions):
        """See `dartsminus_tf.build_supernet`."""
        from dartsminus_tf.spaces.darts.supernet import Supernet

        return Supernet(self, channels, layers, num_classes, options)


def _uniform(name: str, *primitives: str) -> CellSpace:
    edges = (primitives,) * len(cell_edges(reduction=False))
    return CellSpace(name, normal=edges, reduce=edges)


_SHORT = {
    "s": "skip_connect",
    "3": "sep_conv_3x3",
    "d3": "dil_conv_3x3",
    "d5": "dil_conv_5x5",
    "M": "max_pool_3x3",
    "A": "avg_pool_3x3",
}


def _irregular(name: str, normal: str, reduce: str) -> CellSpace:
    """A space whose edges differ: "s,d3 | M,s | ..." lists the candidates of one edge after the other."""
    cells = (
        tuple(tuple(_SHORT[op] for op in edge.strip().split(",")) for edge in cell.split("|"))
        for cell in (normal, reduce)
    )
    return CellSpace(name, *cells)


S0 = _uniform(
    "s0",
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
S1 = _irregular(
    "s1",
    normal="s,d3 | s,d5 | s,d5 | s,3 | s,d3 | M,s | s,3 | s,3 | s,d3 | s,3 | M,s | s,d3 | d3,d5 | d3,d5",
    reduce="M,A | M,d3 | M,A | M,A | s,d5 | M,A | M,3 | s,d3 | s,d5 | M,A | M,A | s,d5 | s,d5 | s,d5",
)
S2 = _uniform("s2", "skip_connect", "sep_conv_3x3")
S3 = _uniform("s3", "none", "skip_connect", "sep_conv_3x3")
S4 = _uniform("s4", "noise", "sep_conv_3x3")

SPACES = {space.name: space for space in (S0, S1, S2, S3, S4)}
