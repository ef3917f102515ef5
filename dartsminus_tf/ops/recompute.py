"""Recomputation: a function keeps its inputs alone for the backward pass; what lies between is made a second time.

A supernet holds far more values than weights: at the paper's size its memory is what a step keeps for the gradient.
Cheap operations are worth repeating there, the next batch norm's statistics are not.
"""

from collections.abc import Callable

import tensorflow as tf


def recomputed(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """`function` of tensors to a tensor, with the same gradient (of any order) and without its intermediate values."""

    @tf.custom_gradient
    def run(*inputs):
        def gradient(dy):
            # Without the dependency the values would be made in the forward pass, as soon as the inputs are, and kept.
            with tf.control_dependencies([dy]):
                again = [tf.identity(x) for x in inputs]
            with tf.GradientTape() as tape:
                tape.watch(again)
                y = function(*again)
            return tape.gradient(y, again, dy)

        return function(*inputs), gradient

    return run
