"""Places of PyTorch arrays in our variables, for the layers that all families share."""

from typing import NamedTuple

import keras

from dartsminus_tf.mixed.norm_bank import NormBank
from dartsminus_tf.ops import layers
from dartsminus_tf.ops.norm import BatchNorm


class Slot(NamedTuple):
    """Where a torch array goes: `variable[index]`, after the transposition that `layout` names."""

    variable: keras.Variable
    layout: str
    index: tuple[int, ...] = ()
    required: bool = True


def linear(prefix: str, layer: layers.Classifier) -> dict[str, Slot]:
    return {f"{prefix}.weight": Slot(layer.kernel, "linear"), f"{prefix}.bias": Slot(layer.bias, "vector")}


def norm(prefix: str, layer: BatchNorm, required: bool = True) -> dict[str, Slot]:
    slots = {
        f"{prefix}.running_mean": Slot(layer.moving_mean, "vector", required=required),
        f"{prefix}.running_var": Slot(layer.moving_variance, "vector", required=required),
    }
    if layer.affine:
        slots |= {
            f"{prefix}.weight": Slot(layer.gamma, "vector"),
            f"{prefix}.bias": Slot(layer.beta, "vector"),
        }
    return slots


def stack(prefix: str, layer: layers.Stack, first: int, norm_required: bool = True) -> dict[str, Slot]:
    """A sequence of convolutions, norms and ReLUs, numbered from `first`; a leading ReLU has the number before."""
    slots, number = {}, first
    for part in layer.layers:
        if isinstance(part, layers.Conv):
            slots[f"{prefix}.{number}.weight"] = Slot(part.kernel, "conv")
        elif isinstance(part, BatchNorm):
            slots |= norm(f"{prefix}.{number}", part, norm_required)
        number += 0 if part is layer.layers[0] and isinstance(part, keras.layers.ReLU) else 1
    return slots


def row(prefix: str, bank: NormBank, index: int) -> dict[str, Slot]:
    return {
        f"{prefix}.running_mean": Slot(bank.moving_mean, "vector", (index,), required=False),
        f"{prefix}.running_var": Slot(bank.moving_variance, "vector", (index,), required=False),
    }
