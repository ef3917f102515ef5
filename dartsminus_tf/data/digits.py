"""The embedded default: scikit-learn's 1,797 real handwritten digits of 8x8 pixels. No download."""

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from dartsminus_tf.config import DataConfig
from dartsminus_tf.data.source import Source, Split

TEST_FRACTION = 0.2
SPLIT_SEED = 0


def digits_source(config: DataConfig) -> Source:
    """Ten classes; a fifth of every class is the test split, always the same one."""
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    train, test = train_test_split(
        np.arange(len(images)), test_size=TEST_FRACTION, random_state=SPLIT_SEED, stratify=digits.target
    )
    labels = digits.target.astype(np.int32)

    def split(indices: np.ndarray) -> Split:
        arrays = (images[indices], labels[indices])
        return Split(len(indices), lambda: tf.data.Dataset.from_tensor_slices(arrays), arrays[1])

    return Source("digits", split(train), split(test), tuple(str(name) for name in digits.target_names))
