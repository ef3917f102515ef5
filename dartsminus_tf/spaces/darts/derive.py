"""From alpha to a genotype (section 2 of the DARTS paper, which DARTS- keeps).

Each node keeps the two incoming edges whose strongest candidate, `none` left out, weighs most (strongest first, the
earlier edge on a tie); each kept edge becomes its strongest candidate other than `none`.
"""

from collections.abc import Sequence

import numpy as np

from dartsminus_tf.spaces.darts.genotype import CellGenotype
from dartsminus_tf.spaces.darts.space import NODES, CellSpace, cell_edges
from dartsminus_tf.spaces.supernet import softmax

KEPT_EDGES = 2


def derive_cell(
    alpha: np.ndarray, primitives: Sequence[Sequence[str]], edge_weights: np.ndarray | None = None
) -> list[tuple[str, int]]:
    """The genotype entries of one cell from `alpha` [edges, candidates]; `primitives` names them edge by edge.

    `edge_weights` [edges], where given, multiply the candidates' weights.
    """
    weights = softmax(alpha)
    return select_entries(weights if edge_weights is None else weights * edge_weights[:, None], primitives)


def select_entries(weights: np.ndarray, primitives: Sequence[Sequence[str]]) -> list[tuple[str, int]]:
    """The genotype entries of one cell from the candidates' `weights` [edges, candidates]."""
    best = []  # per edge: (weight, operation)
    for row, names in zip(weights, primitives, strict=True):
        best.append(max(((w, n) for w, n in zip(row, names, strict=True) if n != "none"), key=lambda item: item[0]))
    edges = cell_edges(reduction=False)
    entries = []
    for node in range(2, NODES + 2):
        incoming = [index for index, edge in enumerate(edges) if edge.target == node]
        strongest = sorted(incoming, key=lambda index: -best[index][0])[:KEPT_EDGES]
        entries += [(best[index][1], edges[index].source) for index in strongest]
    return entries


def derive(
    space: CellSpace, alphas: dict[str, np.ndarray], edge_weights: dict[str, np.ndarray] | None = None
) -> CellGenotype:
    """The genotype of `alphas` {"normal": [14, candidates], "reduce": [14, candidates]}.

    `edge_weights` {"normal": [14], "reduce": [14]} are those of edge normalization, which multiply the candidates'.
    """
    concat = tuple(range(2, NODES + 2))
    cells = {
        kind: derive_cell(alphas[kind], getattr(space, kind), edge_weights and edge_weights[kind])
        for kind in ("normal", "reduce")
    }
    return CellGenotype(normal_concat=concat, reduce_concat=concat, **cells)
