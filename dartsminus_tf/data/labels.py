"""What the labels of the training examples decide: which of them validate, and how much each class weighs."""

import math

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight

from dartsminus_tf.foundation.errors import UsageError

AUTO_SHARE, SPLIT_SEED = 0.1, 0


def stratified(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Divide 0..N - 1 at random, always in the same way, into two sorted, disjoint sets with all classes alike.

    Args:
        labels: int [N].
        share: of all examples in the second set, which gets one a class at least. A class of a single example stays in
            the first.

    Raises:
        UsageError: where no class has two examples, or the second set would take a whole class.
    """
    classes, members = np.unique(labels, return_inverse=True)
    several = np.flatnonzero(np.bincount(members)[members] > 1)
    num_several = len(np.unique(labels[several]))
    if not num_several:
        raise UsageError(
            f"A part of the training set can validate where a class has two training examples: give data.validation="
            f"none, or a validation split. Received: {len(labels)} examples of {len(classes)} classes"
        )
    number = min(max(math.ceil(share * len(labels)), num_several), len(several) - num_several)
    _, second = train_test_split(several, test_size=number, random_state=SPLIT_SEED, stratify=labels[several])
    first = np.setdiff1d(np.arange(len(labels)), second)
    lost = np.setdiff1d(classes, labels[first])
    if len(lost):
        raise UsageError(
            f"data.validation must leave an example of every class for training (class number {lost[0]} has "
            f"{np.count_nonzero(labels == lost[0])}): give a smaller share. Received: {share:g}"
        )
    return first, np.sort(second)


def balanced(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """n / (classes * n_c) for each class c, float32 [num_classes]: each has the same part in the sum over all examples.

    Classes without an example have weight 0 and are not counted.
    """
    present = np.unique(labels)
    weights = np.zeros(num_classes, np.float32)
    weights[present] = compute_class_weight("balanced", classes=present, y=labels)
    return weights
