"""A search space: which candidates every edge of every kind of cell offers. Pure Python; builds nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dartsminus_tf.foundation.errors import UsageError

Alphas = Mapping[str, np.ndarray]
Candidates = Mapping[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True)
class Space:
    """A space of one family.

    Args:
        name: as users write it.
        family: the name of the family whose supernet it searches.
        candidates: {kind of cell: for every edge, in the order of alpha's rows, the names of its candidates}.
        defaults: {"channels": ..., "layers": ...} of the paper.
    """

    name: str
    family: str
    candidates: Candidates
    defaults: Mapping[str, int] = field(default_factory=dict)

    @property
    def primitives(self) -> tuple[str, ...]:
        """Every primitive of the space, in the order in which the edges name them."""
        return tuple(dict.fromkeys(name for edges in self.candidates.values() for edge in edges for name in edge))

    def restricted(self, alphas: Alphas, num_candidates: int) -> "Space":
        """The space in which every edge keeps its `num_candidates` strongest candidates, in the order it had them.

        Args:
            alphas: {kind of cell: [edges, candidates]}. On a tie the earlier candidate is kept.
            num_candidates: at least 2, so that none is left with `none` alone, and at most what the edges have.
        """
        available = min(len(edge) for edges in self.candidates.values() for edge in edges)
        if not 2 <= num_candidates <= available:
            raise UsageError(
                f"num_candidates must be in 2..{available} in space {self.name}. Received: {num_candidates}"
            )
        kept = {kind: _strongest(edges, alphas[kind], num_candidates) for kind, edges in self.candidates.items()}
        return replace(self, candidates=kept)


def _strongest(primitives, alpha: np.ndarray, num_candidates: int) -> tuple[tuple[str, ...], ...]:
    kept = np.sort(np.argsort(-softmax(alpha), axis=-1, kind="stable")[:, :num_candidates], axis=-1)
    return tuple(tuple(names[column] for column in row) for names, row in zip(primitives, kept, strict=True))


def softmax(alpha: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    alpha = np.asarray(alpha, np.float64)
    exp = np.exp(alpha - alpha.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)
