"""Which candidate of every layer a search's alpha stands for: the strongest, or the best choice within a cost."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from dartsminus_tf.foundation.errors import UsageError

SLACK = 1e-6  # a share of the cost, for the solver's arithmetic


def strongest(alphas: Sequence[np.ndarray]) -> list[int]:
    """The index of the largest alpha of every layer (the earlier one on a tie)."""
    return [int(np.argmax(row)) for row in alphas]


def strongest_within(alphas: Sequence[np.ndarray], costs: Sequence[Sequence[int]], most: int) -> list[int]:
    """The most probable choice of one candidate a layer that costs at most `most`.

        max  sum over layers l  log softmax(alpha_l)_{k_l}      subject to      sum over l  c_{l k_l} <= most

    Without the cost this is `strongest`: layers are independent. It is solved exactly, as an integer program.

    Args:
        alphas: [candidates] of every layer.
        costs: of the same candidates.
        most: the largest sum of costs.

    Raises:
        UsageError: where the cheapest choice costs more.
    """
    if sum(picked := [row[k] for row, k in zip(costs, strongest(alphas), strict=True)]) <= most:
        return strongest(alphas)
    if (least := sum(map(min, costs))) > most:
        raise UsageError(f"The searched layers cost {least} multiply-adds at least. Received: {most} for them")
    widths = [len(row) for row in alphas]
    layer_of = np.repeat(np.arange(len(widths)), widths)
    one_each = LinearConstraint(np.equal.outer(np.arange(len(widths)), layer_of).astype(float), 1, 1)
    cost = np.concatenate([np.asarray(row, float) for row in costs]) / sum(picked)
    within = LinearConstraint(cost[None], -np.inf, most / sum(picked) * (1 - SLACK))
    gain = np.concatenate([row - row.max() for row in map(np.asarray, alphas)])  # log softmax, but for a constant
    found = milp(-gain, integrality=np.ones(len(gain)), bounds=Bounds(0, 1), constraints=[one_each, within])
    if found.x is None:
        raise UsageError(f"No network within that cost was found ({found.message}). Received: {most}")
    return [int(np.argmax(part)) for part in np.split(found.x, np.cumsum(widths)[:-1])]
