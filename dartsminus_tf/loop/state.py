"""A state of a run: every variable of the model, its optimizers and its metrics (`foundation.runs.states`)."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.states import State, is_finite, read_state


class NotFinite(Exception):
    """A loss, a score or a variable is NaN or infinite."""


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """All that a state holds, always in the same order. `model.optimizers` lists the model's optimizers."""
    optimizers = [variable for optimizer in model.optimizers for variable in optimizer.variables]
    return [*model.variables, *optimizers, *model.metrics_variables]


def to_array(variable: keras.Variable | np.ndarray) -> np.ndarray:
    """The value of a variable."""
    return np.asarray(variable.numpy() if isinstance(variable, keras.Variable) else variable)


def finite_arrays(variables: Sequence[keras.Variable | np.ndarray]) -> list[np.ndarray]:
    """The values of `variables`.

    Raises:
        NotFinite: naming the first variable that holds a NaN or an infinite value.
    """
    arrays = [to_array(variable) for variable in variables]
    for number, array in enumerate(arrays):
        if not is_finite(array):
            bad = int(np.size(array) - np.isfinite(array).sum())
            name = getattr(variables[number], "path", f"array {number}")
            raise NotFinite(f"{bad} of {np.size(array)} values of {name}")
    return arrays


def load_state(path: Path, variables: Sequence[keras.Variable]) -> State:
    """Load one state's file into `variables`, which are those of `state_variables`.

    Raises:
        UsageError: where it is broken, or belongs to another model.
    """
    state = read_state(path)
    if not state.load_into(variables):
        raise UsageError(f"The checkpoint belongs to another model. Received: {path}")
    return state
