"""MobileNetV2's weights by Keras itself: `keras.applications` fetches, caches and reads them."""

import os
from pathlib import Path

import h5py
import numpy as np

from dartsminus_tf.foundation.errors import UsageError

FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224.h5"
UNREACHABLE = "URL fetch failure"  # Keras raises a plain Exception that begins so


def cache_folder() -> Path:
    """Where Keras looks for a file before it fetches it."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def numbers_in(file: str | Path) -> int:
    """How many numbers the weights in a Keras file are.

    Raises:
        UsageError: where it is damaged.
    """
    total = 0

    def add(_, item):
        nonlocal total
        total += item.size if isinstance(item, h5py.Dataset) else 0

    try:
        with h5py.File(file, "r") as content:
            content.get("model_weights", content).visititems(add)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"The Keras file of weights is damaged ({error}). Received: {str(file)!r}") from None
    return total


def keras_tensors(alpha: float, file: str | Path | None = None) -> dict[str, np.ndarray]:
    """{"layer/variable": array} of `keras.applications.MobileNetV2` of a width, trained on ImageNet.

    Args:
        alpha: the width multiplier.
        file: of weights; None for the published one, from Keras' cache or the network.

    Raises:
        UsageError: where the file cannot be had, is damaged or is another network's.
    """
    import keras  # a file of weights is told from others without it

    name = FILE.format(alpha=alpha)
    source = str(file) if file else "imagenet"
    try:
        model = keras.applications.MobileNetV2((224, 224, 3), alpha, weights=source, classifier_activation=None)
    except (OSError, ValueError, KeyError) as error:
        place = f"{cache_folder() / name} (delete it to fetch it again)"
        raise UsageError(
            f"Keras cannot read the weights of MobileNetV2 {alpha} ({error}). Received: {source if file else place}"
        ) from None
    except Exception as error:
        if UNREACHABLE not in str(error):
            raise
        raise UsageError(
            f"Keras cannot fetch MobileNetV2 {alpha} ({error}): put {name} into {cache_folder()}, or give file=. "
            "Received: no network"
        ) from None
    if file:
        _check_names(model, file)
    return tensors_of(model)


def tensors_of(model) -> dict[str, np.ndarray]:
    """{"layer/variable": array} of a Keras model."""
    return {f"{layer.name}/{v.name}": v.numpy() for layer in model.layers for v in layer.variables}


def _check_names(model, file: str | Path) -> None:
    """Refuse a file whose layers have the model's names in another order: Keras reads them by their order.

    Raises:
        UsageError: where what a layer got is not what the file has under its name.
    """
    found = tensors_of(model)
    with h5py.File(file, "r") as content:
        groups = content.get("model_weights", content)
        for name, array in found.items():
            layer, leaf = name.split("/")
            held: list[np.ndarray] = []
            if layer in groups:
                groups[layer].visititems(lambda path, item, held=held, leaf=leaf: _keep(path, item, held, leaf))
            if held and not np.array_equal(held[0], array):
                raise UsageError(f"The layers of the Keras file are out of order, such as {layer}. Received: {file}")


def _keep(path: str, item, held: list[np.ndarray], leaf: str) -> None:
    """Keep what stands in `item` where it is the variable `leaf`, called so or `leaf:0` or, in old files, longer."""
    last = path.split("/")[-1].split(":")[0]
    if isinstance(item, h5py.Dataset) and (last == leaf or last == f"depthwise_{leaf}"):
        held.append(item[()])
