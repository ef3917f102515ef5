"""Recomputation: a function keeps its inputs alone for the backward pass; what lies between is made a second time.

A supernet holds far more values than weights: its memory is what a step keeps for the gradient. The results are the
same numbers: the same operations run on the same inputs.
"""

from collections.abc import Callable

import tensorflow as tf


def recomputed(function: Callable) -> Callable:
    """`function` of tensors to a tensor, with the same gradient (of any order) and without its intermediate values.

    Where it returns a list, only the first output is differentiated: the others are statistics.
    """

    @tf.autograph.experimental.do_not_convert
    @tf.custom_gradient
    def run(*inputs):
        def gradient(dy, *_):
            # Without the dependency the values would be made in the forward pass, as soon as the inputs are, and kept.
            with tf.control_dependencies([dy]):
                again = [tf.identity(x) for x in inputs]
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(again)
                    y = function(*again)
                y = y[0] if isinstance(y, list) else y
                return tape.gradient(y, again, dy, tf.UnconnectedGradients.ZERO)

        return function(*inputs), gradient

    return run
