"""From alpha to a genotype (section 2 of the DARTS paper, which DARTS- keeps).

Each node keeps the two incoming edges whose strongest candidate, `none` left out, weighs most (strongest first, the
earlier edge on a tie); each kept edge becomes its strongest candidate other than `none`.
"""

from collections.abc import Sequence

import numpy as np

from dartsminus_tf.spaces.darts.genotype import CellGenotype, Entries
from dartsminus_tf.spaces.darts.space import NODES, cell_edges
from dartsminus_tf.spaces.space import Alphas, Space, softmax

KEPT_EDGES = 2
SKIP = "skip_connect"


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


def derive(space: Space, alphas: Alphas, edge_weights: dict[str, np.ndarray] | None = None) -> CellGenotype:
    """The genotype of `alphas` {"normal": [14, candidates], "reduce": [14, candidates]}.

    `edge_weights` {"normal": [14], "reduce": [14]} are those of edge normalization, which multiply the candidates'.
    """
    concat = tuple(range(2, NODES + 2))
    cells = {
        kind: derive_cell(alphas[kind], space.candidates[kind], edge_weights and edge_weights[kind])
        for kind in ("normal", "reduce")
    }
    return CellGenotype(normal_concat=concat, reduce_concat=concat, **cells)


def cap_skips(weights: np.ndarray, primitives, skip_cap: int) -> Entries:
    """The entries of a cell with at most `skip_cap` skip connections.

    While there are more, the weakest skip among the entries gets weight 0 and the cell is derived again. Where too few
    edges offer anything but that skip and `none`, which takes stages of two candidates, more are left.

    Args:
        weights: softmax(alpha), [edges, candidates].
        primitives: the candidates' names, edge by edge.
    """
    weights = np.array(weights, np.float64)
    index = {(edge.source, edge.target): row for row, edge in enumerate(cell_edges(reduction=False))}
    while True:
        entries = tuple(select_entries(weights, primitives))
        skips = [index[source, place // 2 + 2] for place, (name, source) in enumerate(entries) if name == SKIP]
        places = [(row, primitives[row].index(SKIP)) for row in skips]
        standing = [place for place in places if weights[place] > 0]
        if len(skips) <= skip_cap or not standing:
            return entries
        weights[min(standing, key=lambda place: weights[place])] = 0.0


def derive_capped(space: Space, alphas: Alphas, skip_cap: int | None) -> tuple[CellGenotype, bool]:
    """The genotype of `alphas` whose normal cell has at most `skip_cap` skip connections (None: any number), and
    whether the cap could be kept."""
    genotype = derive(space, alphas)
    if skip_cap is None:
        return genotype, True
    normal = cap_skips(softmax(alphas["normal"]), space.candidates["normal"], skip_cap)
    capped = CellGenotype(normal, genotype.normal_concat, genotype.reduce, genotype.reduce_concat)
    return capped, capped.count(SKIP)["normal"] <= skip_cap
