"""Recomputed functions against the plain ones: values, gradients, second derivatives, and what is kept."""

import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops import tally
from dartsminus_tf.ops.recompute import recomputed


def curve(x, scale):
    return tf.exp(tf.sin(x) * scale)


@pytest.mark.parametrize("traced", [False, True])
def test_values_and_derivatives_of_both_orders(traced):
    def derivatives(function):
        x, scale = tf.constant([0.3, -0.7]), tf.constant(1.5)
        with tf.GradientTape() as outer:
            outer.watch([x, scale])
            with tf.GradientTape() as inner:
                inner.watch([x, scale])
                y = function(x, scale)
            first = inner.gradient(y, [x, scale])
            total = tf.reduce_sum(first[0] ** 2) + first[1]
        return [y, *first, *outer.gradient(total, [x, scale])]

    wrap = tf.function if traced else lambda function: function
    for actual, expected in zip(wrap(derivatives)(recomputed(curve)), derivatives(curve), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_what_lies_between_is_made_again_once_the_gradient_is_there():
    @tf.function
    def gradient(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = recomputed(curve)(x, tf.constant(1.5))
        return tape.gradient(y, x, dy * tf.reduce_sum(y))

    operations = gradient.get_concrete_function(tf.zeros([2]), tf.zeros([2])).graph.get_operations()
    sines = [operation for operation in operations if operation.type == "Sin"]
    assert len(sines) == 2
    assert sines[0].inputs[0].op.type == "Placeholder"  # the forward pass
    assert sines[1].inputs[0].op.control_inputs  # waits for dy


@pytest.mark.parametrize("stride,dilation,size", [(1, 1, 3), (1, 1, 5), (2, 1, 3), (2, 2, 5), (1, 2, 3)])
def test_separable_equals_its_parts(stride, dilation, size):
    x = tf.random.normal([2, 8, 8, 3])
    kernels = tf.random.normal([size, size, 3, 1]), tf.random.normal([1, 1, 3, 4])

    def in_parts(x, depthwise, pointwise):
        return fn.conv2d(fn.depthwise_conv(tf.nn.relu(x), depthwise, stride, dilation), pointwise)

    def at_once(x, depthwise, pointwise):
        return fn.separable(x, depthwise, pointwise, stride, dilation, relu=True)

    results, counts = [], []
    for function in (in_parts, at_once):
        with tally.counting() as total, tf.GradientTape() as tape:
            tape.watch([x, *kernels])
            y = function(x, *kernels)
        counts.append(total[0])
        results.append([y, *tape.gradient(y, [x, *kernels], tf.sin(y))])
    assert counts[0] == counts[1] > 0
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4)
