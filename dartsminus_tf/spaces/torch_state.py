"""The parameters of PyTorch networks -> our variables; the names are the families' own (`torch_names.py`).

PyTorch keeps convolutions as [out, in, h, w], depthwise ones as [channels, 1, h, w] and linear layers as [out, in].
Supernet variables stack the edges of a cell, so a torch array fills one slice of a variable.
"""

from collections.abc import Mapping

import keras
import numpy as np

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.network import DerivedNetwork
from dartsminus_tf.spaces.supernet import SearchNetwork
from dartsminus_tf.spaces.torch_slots import Slot

_TRANSPOSE = {
    "conv": (2, 3, 1, 0),
    "depthwise": (2, 3, 0, 1),
    "linear": (1, 0),
    "vector": (0,),
    "reduce": (2, 3, 1, 0),
    "kernel": (0, 1, 2, 3),  # Keras' own order
    "matrix": (0, 1),
}


def load_torch_state(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Set the variables of `model` from PyTorch arrays, strictly.

    Args:
        model: a built supernet or derived network.
        state: {torch parameter name: array}. Running statistics of a supernet may be left out (they are not part of
            the search's parameters); `num_batches_tracked` is passed over.

    Raises:
        UsageError: where an array has no place, a variable gets none, shapes differ, or a number is not finite. Nothing
            is set then.
    """
    if not model.built:
        raise UsageError("Call the model once before loading, so that its variables exist. Received: an unbuilt model")
    kept = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    fill_slots(torch_slots(model), kept)


def fill_slots(slots: Mapping[str, Slot], state: Mapping[str, np.ndarray]) -> None:
    """Set variables from the arrays of the same names, strictly.

    Raises:
        UsageError: where an array has no place, a variable gets none, or shapes differ. Nothing is set then.
    """
    state = {name: _array(name, value) for name, value in state.items()}
    unknown = sorted(set(state) - set(slots))
    if unknown:
        raise UsageError(f"{len(unknown)} arrays have no place in this model. Received: {', '.join(unknown[:3])}")
    missing = [name for name, slot in slots.items() if slot.required and name not in state]
    if missing:
        raise UsageError(f"{len(missing)} parameters are missing from the state, such as {', '.join(missing[:3])}.")
    values: dict[int, tuple[keras.Variable, np.ndarray]] = {}
    for name, array in state.items():
        slot = slots[name]
        _, value = values.setdefault(id(slot.variable), (slot.variable, slot.variable.numpy()))
        target = value[slot.index]
        axes = _TRANSPOSE[slot.layout]
        if array.ndim != len(axes) or _lengths(array.transpose(axes)) != _lengths(target):
            raise UsageError(f"The array of '{name}' does not fit shape {target.shape}. Received: {array.shape}")
        value[slot.index] = array.transpose(axes).reshape(target.shape)
    for variable, value in values.values():
        variable.assign(value)


def _lengths(array: np.ndarray) -> list[int]:
    """The shape without its ones: a 1x1 kernel may be kept as a matrix."""
    return [length for length in array.shape if length > 1]


def _array(name: str, value) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:  # nested lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise UsageError(f"The array of {name!r} must hold real numbers. Received: {array.dtype}")
    if not np.isfinite(array).all():
        raise UsageError(f"The array of {name!r} must hold finite numbers. Received: NaN or infinity")
    return array


def torch_slots(model: keras.Model) -> dict[str, Slot]:
    """Every torch name of `model` and the place of its array."""
    if not isinstance(model, SearchNetwork | DerivedNetwork):
        raise UsageError(f"PyTorch states load into supernets and derived networks. Received: {type(model).__name__}")
    family = family_of(model.space if isinstance(model, SearchNetwork) else model.genotype)
    if family.torch_slots is None:
        raise UsageError(f"Nobody has written down the PyTorch names of family {family.name}. Received: {model.name}")
    return family.load(family.torch_slots)(model)
