"""The DARTS family of cell spaces: which candidates each edge of the normal and the reduction cell offers.

A cell has two inputs (states 0 and 1) and four nodes (states 2 to 5); every node reads every state before it.
"""

from collections.abc import Sequence

from dartsminus_tf.mixed.edges import Edge
from dartsminus_tf.spaces.space import Space

NODES = 4
CHANNEL_MULTIPLE = 2  # FactorizedReduce halves them
DEFAULTS = {"channels": 16, "layers": 8}

Edges = Sequence[Sequence[str]]


def cell_edges(reduction: bool, nodes: int = NODES) -> list[Edge]:
    """The edges in the order of alpha's rows: 2<-0, 2<-1, 3<-0, 3<-1, 3<-2, ... In a reduction cell those that leave
    the cell's inputs have stride 2."""
    return [
        Edge(source, node, 2 if reduction and source < 2 else 1)
        for node in range(2, nodes + 2)
        for source in range(node)
    ]


def cell_space(name: str, normal: Edges, reduce: Edges) -> Space:
    """A space of DARTS cells; `normal` and `reduce` name the candidates of every edge, the same number on all edges."""
    candidates = {"normal": tuple(map(tuple, normal)), "reduce": tuple(map(tuple, reduce))}
    return Space(name, "darts", candidates, DEFAULTS)


def _uniform(name: str, *primitives: str) -> Space:
    edges = (primitives,) * len(cell_edges(reduction=False))
    return cell_space(name, edges, edges)


_SHORT = {
    "s": "skip_connect",
    "3": "sep_conv_3x3",
    "d3": "dil_conv_3x3",
    "d5": "dil_conv_5x5",
    "M": "max_pool_3x3",
    "A": "avg_pool_3x3",
}


def _irregular(name: str, normal: str, reduce: str) -> Space:
    """A space whose edges differ: "s,d3 | M,s | ..." lists the candidates of one edge after the other."""
    cells = ([[_SHORT[op] for op in edge.strip().split(",")] for edge in cell.split("|")] for cell in (normal, reduce))
    return cell_space(name, *cells)


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

SPACES = (S0, S1, S2, S3, S4)
