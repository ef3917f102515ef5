"""Which variables of a SavedModel a pyramid level depends on: its stages, read off the graph."""

from collections.abc import Callable, Sequence

import tensorflow as tf


def variables_up_to(endpoint: Callable, variables: Sequence[tf.Variable], level: int) -> list[tf.Variable]:
    """Those of `variables` that the features of `level` and of all lower levels are computed from.

    A SavedModel has no layers to name, but its graph says what each output reads.

    Args:
      endpoint: a restored function of images `[N, H, W, 3]` that returns features by level.
      variables: candidates, in any order.
      level: the last level that counts.
    """
    function = endpoint.concrete_functions[0]  # tracing it anew would hide the graph in a call
    features = tf.nest.pack_sequence_as(function.structured_outputs, function.outputs)
    wanted = [tensor for name, tensor in features.items() if int(name) <= level]
    reached = _ancestors(wanted)
    captured = {id(outer) for outer, inner in function.graph.captures if id(inner) in reached}
    return [variable for variable in variables if id(_as_captured(variable)) in captured]


def _as_captured(variable: tf.Variable) -> object:
    """What a function captures of a variable: its handle, or all of it where a strategy put it on several devices."""
    return variable if hasattr(variable, "values") else variable.handle


def _ancestors(tensors: Sequence[tf.Tensor]) -> set[int]:
    """Ids of all tensors that `tensors` are computed from, themselves included."""
    reached: set[int] = set()
    open_tensors = list(tensors)
    while open_tensors:
        tensor = open_tensors.pop()
        if id(tensor) not in reached:
            reached.add(id(tensor))
            open_tensors += tensor.op.inputs
    return reached
