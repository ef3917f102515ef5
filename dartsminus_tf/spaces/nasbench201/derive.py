"""From alpha to a NAS-Bench-201 cell: on every edge the strongest of all five operations, `none` among them."""

import numpy as np

from dartsminus_tf.spaces.nasbench201.genotype import PRIMITIVES, BenchmarkGenotype


def derive(alpha: np.ndarray) -> BenchmarkGenotype:
    """The cell of `alpha` [6, 5]; the earlier operation on a tie."""
    return BenchmarkGenotype.of(PRIMITIVES[column] for column in np.argmax(alpha, axis=-1))
