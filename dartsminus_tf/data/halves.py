"""The disjoint halves of a training set: one trains the weights, the other alpha."""

import numpy as np

from dartsminus_tf.foundation.errors import UsageError


def split_indices(num_examples: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide 0..num_examples - 1 at random into two sorted, disjoint sets; the second is `fraction` of all.

    Raises:
        UsageError: if either set would be empty.
    """
    second = int(round(num_examples * fraction))
    if not 0 < second < num_examples:
        raise UsageError(f"Both halves need at least one of the {num_examples} examples. Received: fraction {fraction}")
    order = np.random.default_rng([seed, 7919]).permutation(num_examples)
    return np.sort(order[second:]), np.sort(order[:second])
