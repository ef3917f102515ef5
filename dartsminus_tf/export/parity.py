"""What was written is read again and must give what the network gives."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.network import DerivedNetwork

TOLERANCE = 1e-5  # of a logit or a feature; of the largest of them where that is above 1
SIDE = 64  # pixels of the images for a network of any size


def require_parity(model: DerivedNetwork, folder: Path) -> float:
    """Load the SavedModel in `folder` and compare `classify` and `serve` with `model` on random images.

    Both compute on the CPU: kernels of a GPU may round in different ways from call to call.

    Returns:
        The largest difference of a logit.

    Raises:
        UsageError: where a logit or a feature differs by more than `TOLERANCE`, or is NaN.
    """
    size = model.image_size if model.image_size and all(model.image_size) else (SIDE, SIDE)
    with tf.device("/CPU:0"):
        images = tf.constant(np.random.default_rng(0).normal(size=(2, *size, 3)), tf.float32)
        loaded = tf.saved_model.load(str(folder))
        logits = tf.function(lambda x: model(x, training=False))(images)
        features = tf.function(lambda x: model.features(x, training=False))(images)
        difference = _difference("classify", {"logits": logits}, {"logits": loaded.classify(images)})
        _difference("serve", features, loaded.serve(images))
    return difference


def _difference(endpoint: str, expected: Mapping[str, tf.Tensor], found: Mapping[str, tf.Tensor]) -> float:
    largest = 0.0
    for name, value in expected.items():
        wanted, got = np.asarray(value, np.float64), np.asarray(found[name], np.float64)
        difference = float(np.abs(got - wanted).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):  # NaN is no parity
            raise UsageError(
                f"The SavedModel's {endpoint} gives other values than the network, so nothing is exported; report it. "
                f"Received: a difference of {difference:.3g} in {name}"
            )
        largest = max(largest, difference)
    return largest
