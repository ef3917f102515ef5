"""The shared, stacked, fused computation of a search cell against a plain composition, op by op, edge by edge."""

import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops.candidates import DilatedCandidate, SeparableCandidate, SkipCandidate
from dartsminus_tf.ops.registry import register
from dartsminus_tf.spaces.darts.plan import CellPlan
from dartsminus_tf.spaces.darts.space import CellSpace, cell_edges
from dartsminus_tf.spaces.darts.supernet import SearchCell
from dartsminus_tf.spaces.lookup import get_space

CHANNELS = 4


def plain_norm(x):
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return (x - mean) / tf.sqrt(variance + 1e-5)


def plain_depthwise(x, kernel, stride, dilation):
    padded = fn.pad_symmetric(x, dilation * (kernel.shape[0] // 2))
    return tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID", dilations=[dilation] * 2)[
        :, ::stride, ::stride
    ]


def plain_skip(candidate, slot, x, stride):
    if stride == 1:
        return x
    kernels = candidate.kernels.numpy()[candidate.reducing.index(slot)]
    x = tf.nn.relu(x)
    halves = [x[:, ::2, ::2], x[:, 1::2, 1::2]]
    return plain_norm(tf.concat([tf.einsum("nhwc,cd->nhwd", h, k) for h, k in zip(halves, kernels, strict=True)], -1))


def plain_operation(candidate, name, slot, x, stride):
    if name == "none":
        return tf.zeros_like(x[:, ::stride, ::stride])
    if isinstance(candidate, SkipCandidate):
        return plain_skip(candidate, slot, x, stride)
    if isinstance(candidate, SeparableCandidate):
        for stage in (0, 1):
            y = plain_depthwise(tf.nn.relu(x), candidate.depthwise[stage].numpy()[slot], stride if stage == 0 else 1, 1)
            x = plain_norm(tf.nn.conv2d(y, candidate.pointwise[stage].numpy()[slot], 1, "VALID"))
        return x
    if isinstance(candidate, DilatedCandidate):
        y = plain_depthwise(tf.nn.relu(x), candidate.depthwise.numpy()[slot], stride, 2)
        return plain_norm(tf.nn.conv2d(y, candidate.pointwise.numpy()[slot], 1, "VALID"))
    pool = fn.max_pool if name == "max_pool_3x3" else fn.avg_pool
    return plain_norm(pool(x, stride))


def plain_cell(cell, s0, s1, weights, beta):
    """The paper's equation, written out: o(x) = sum_k softmax(alpha)_k op_k(x) + beta aux(x)."""
    mixed = cell.mixed_edges
    states = [cell.preprocess0(s0, training=True), cell.preprocess1(s1, training=True)]
    for node in range(2, 6):
        total = 0.0
        for index, edge in enumerate(cell.edges):
            if edge.target == node:
                x = states[edge.source]
                for k, name in enumerate(mixed.primitives[index]):
                    slot = mixed.slots[name].index(index)
                    total += weights[index, k] * plain_operation(mixed.candidates[name], name, slot, x, edge.stride)
                total += beta * plain_skip(mixed.auxiliary, index, x, edge.stride)
        states.append(total)
    return tf.concat(states[2:], -1)


@pytest.mark.parametrize("size", [8, 6])
@pytest.mark.parametrize("reduction", [False, True])
def test_cell_equals_the_plain_composition_with_gradients(reduction, size):
    """At size 6 the reduction cell's inner states are 3x3: odd, so dilated operations cannot run in phases."""
    cell = SearchCell(get_space("s0"), CellPlan(CHANNELS, (CHANNELS, CHANNELS), reduction, False), auxiliary_skip=True)
    cell.build()
    s0, s1 = tf.random.normal([2, 3, size, size, CHANNELS])
    alpha, beta = tf.Variable(tf.random.normal([14, 8])), tf.Variable(0.7)
    outputs, gradients = [], []
    for forward in (cell.call, lambda *arguments, training: plain_cell(cell, *arguments)):
        with tf.GradientTape() as tape:
            tape.watch([s0, s1])
            y = forward(s0, s1, tf.nn.softmax(alpha), beta, training=True)
            loss = tf.reduce_mean(y * tf.sin(tf.range(y.shape[-1], dtype=tf.float32)) + y**2)
        outputs.append(y)
        gradients.append(tape.gradient(loss, [alpha, beta, s0, s1]))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=2e-4)
    for fast, plain in zip(*gradients, strict=True):
        np.testing.assert_allclose(fast, plain, atol=2e-5 + 1e-3 * np.abs(plain).max())


def test_beta_zero_is_plain_darts():
    """With beta 0 the auxiliary skip adds nothing; without it there is nothing to add."""
    cell = SearchCell(get_space("s0"), CellPlan(CHANNELS, (CHANNELS, CHANNELS), False, False), auxiliary_skip=True)
    cell.build()
    x = tf.random.normal([2, 4, 4, CHANNELS])
    weights = tf.nn.softmax(tf.random.normal([14, 8]))
    with_zero = cell.call(x, x, weights, 0.0, training=True)
    assert np.abs(cell.call(x, x, weights, 1.0, training=True) - with_zero).max() > 0.1
    cell.mixed_edges.auxiliary = None
    np.testing.assert_allclose(cell.call(x, x, weights, 1.0, training=True), with_zero, atol=1e-5)


def test_moving_statistics_are_used_and_kept_in_inference():
    cell = SearchCell(get_space("s0"), CellPlan(CHANNELS, (CHANNELS, CHANNELS), False, False), auxiliary_skip=True)
    cell.build()
    x, weights = tf.random.normal([8, 4, 4, CHANNELS], 1.0), tf.fill([14, 8], 1 / 8)
    bank = cell.mixed_edges.bank
    step = tf.function(lambda: cell.call(x, x, weights, 1.0, training=True))
    for _ in range(150):
        trained = step()
    before = bank.moving_mean.numpy()
    assert np.abs(before).max() > 0.1
    evaluated = cell.call(x, x, weights, 1.0, training=False)
    np.testing.assert_array_equal(bank.moving_mean.numpy(), before)
    np.testing.assert_allclose(evaluated, trained, atol=0.15 * np.abs(trained).max())


def test_a_registered_primitive_works_as_a_candidate():
    import keras

    from dartsminus_tf.ops.registry import primitive_names

    if "test_halve" not in primitive_names():
        register("test_halve", lambda channels, stride, affine: keras.layers.AveragePooling2D(stride, stride))
    names = tuple(("test_halve", "skip_connect") for _ in cell_edges(reduction=True))
    cell = SearchCell(CellSpace("own", names, names), CellPlan(2, (2, 2), True, False), auxiliary_skip=False)
    cell.build()
    assert cell.call(*tf.ones([2, 1, 4, 4, 2]), tf.fill([14, 2], 0.5), 0.0, training=True).shape == (1, 2, 2, 8)
