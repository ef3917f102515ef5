"""The shared, stacked, fused computation of a search cell against a plain composition, op by op, edge by edge."""

import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.mixed.candidates import DilatedCandidate, SeparableCandidate, SkipCandidate
from dartsminus_tf.mixed.graph import normalise_edges
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops.registry import register
from dartsminus_tf.spaces.build import build_supernet
from dartsminus_tf.spaces.darts.plan import CellPlan
from dartsminus_tf.spaces.darts.space import cell_edges, cell_space
from dartsminus_tf.spaces.darts.supernet import SearchCell
from dartsminus_tf.spaces.families import get_space
from dartsminus_tf.spaces.supernet import SupernetOptions

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
    mixed = cell.graph.mixed_edges
    states = [cell.preprocess0(s0, training=True), cell.preprocess1(s1, training=True)]
    for node in range(2, 6):
        total = 0.0
        for index, edge in enumerate(cell.graph.edges):
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
    cell = SearchCell(get_space("s0"), CellPlan(CHANNELS, (CHANNELS, CHANNELS), reduction, False))
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
    cell = SearchCell(get_space("s0"), CellPlan(CHANNELS, (CHANNELS, CHANNELS), False, False))
    cell.build()
    x = tf.random.normal([2, 4, 4, CHANNELS])
    weights = tf.nn.softmax(tf.random.normal([14, 8]))
    with_zero = cell.call(x, x, weights, 0.0, training=True)
    assert np.abs(cell.call(x, x, weights, 1.0, training=True) - with_zero).max() > 0.1
    cell.graph.mixed_edges.auxiliary = None
    np.testing.assert_allclose(cell.call(x, x, weights, 1.0, training=True), with_zero, atol=1e-5)


def test_moving_statistics_are_used_and_kept_in_inference():
    cell = SearchCell(get_space("s0"), CellPlan(CHANNELS, (CHANNELS, CHANNELS), False, False))
    cell.build()
    x, weights = tf.random.normal([8, 4, 4, CHANNELS], 1.0), tf.fill([14, 8], 1 / 8)
    bank = cell.graph.mixed_edges.bank
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
    cell = SearchCell(
        cell_space("own", names, names), CellPlan(2, (2, 2), True, False), SupernetOptions(auxiliary=None)
    )
    cell.build()
    assert cell.call(*tf.ones([2, 1, 4, 4, 2]), tf.fill([14, 2], 0.5), 0.0, training=True).shape == (1, 2, 2, 8)


def options_cell(reduction: bool, **options) -> SearchCell:
    cell = SearchCell(get_space("s3"), CellPlan(8, (8, 8), reduction, False), SupernetOptions(**options))
    cell.build()
    return cell


def test_conv1_starts_as_the_skip_and_then_learns():
    plain, conv = options_cell(False), options_cell(False, auxiliary="conv1")
    x, weights = tf.random.normal([2, 4, 4, 8]), tf.fill([14, 3], 1 / 3)
    kernels = conv.graph.mixed_edges.auxiliary.pointwise
    np.testing.assert_array_equal(kernels.numpy(), np.stack([np.eye(8)] * 14))
    conv.preprocess0.set_weights(plain.preprocess0.get_weights())
    conv.preprocess1.set_weights(plain.preprocess1.get_weights())
    for name, candidate in plain.graph.mixed_edges.candidates.items():
        conv.graph.mixed_edges.candidates[name].set_weights(candidate.get_weights())
    expected = plain.call(x, x, weights, 0.5, training=True)
    np.testing.assert_allclose(conv.call(x, x, weights, 0.5, training=True), expected, atol=1e-4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(conv.call(x, x, weights, 0.5, training=True) ** 2)
    assert np.abs(tape.gradient(loss, kernels.value)).max() > 1e-3


@pytest.mark.parametrize("reduction", [False, True])
@pytest.mark.parametrize("auxiliary", ["skip", None])
def test_partial_channels_edge_by_edge(reduction, auxiliary):
    """PC-DARTS written out: every edge gives shuffle(concat(o(x[first C/K]), rest)), weighted by the edge's softmax."""
    cell = options_cell(reduction, partial_channels=2, edge_normalization=True, auxiliary=auxiliary)
    mixed, beta = cell.graph.mixed_edges, 0.7
    s0, s1 = tf.random.normal([2, 3, 8, 8, 8])
    weights, edge_alpha = tf.nn.softmax(tf.random.normal([14, 3])), tf.random.normal([14])
    edge_weights = normalise_edges(edge_alpha, cell.graph.edges)
    sums = [float(tf.reduce_sum(part)) for part in tf.split(edge_weights, [2, 3, 4, 5])]
    np.testing.assert_allclose(sums, 1.0, rtol=1e-5)
    states = [cell.preprocess0(s0, training=True), cell.preprocess1(s1, training=True)]
    for node in range(2, 6):
        total = 0.0
        for index, edge in enumerate(cell.graph.edges):
            if edge.target == node:
                seen, rest = states[edge.source][..., :4], states[edge.source][..., 4:]
                output = beta * plain_skip(mixed.auxiliary, index, seen, edge.stride) if auxiliary else 0.0
                for k, name in enumerate(mixed.primitives[index]):
                    slot = mixed.slots[name].index(index)
                    output += weights[index, k] * plain_operation(mixed.candidates[name], name, slot, seen, edge.stride)
                rest = tf.nn.max_pool2d(rest, 2, 2, "VALID") if edge.stride == 2 else rest
                joined = tf.concat([output, rest], -1)
                shuffled = tf.stack([joined[..., (c % 2) * 4 + c // 2] for c in range(8)], -1)
                total += edge_weights[index] * shuffled
        states.append(total)
    actual = cell.call(s0, s1, weights, beta, edge_weights, training=True)
    np.testing.assert_allclose(actual, tf.concat(states[2:], -1), atol=2e-4)


def test_edge_weights_decide_which_edges_are_kept():
    net = build_supernet("s2", channels=4, layers=3, partial_channels=2, edge_normalization=True)
    net.build((2, 8, 8, 3))
    assert [v.shape for v in net.alpha_variables] == [(14, 2), (14, 2), (14,), (14,)]
    strong = np.zeros(14)
    strong[[9 + 2, 9 + 4]] = [2.0, 3.0]  # node 5: from states 2 and 4
    net.edge_alphas["normal"].assign(strong)
    assert [source for _, source in net.genotype().normal[6:]] == [4, 2]
    assert net.edge_weights()["normal"][9:].sum() == pytest.approx(1.0)


def test_bad_options():
    for options, message in [({"auxiliary": "conv3"}, "auxiliary"), ({"partial_channels": 0}, "at least 1")]:
        with pytest.raises(UsageError, match=message):
            SupernetOptions(**options)
    with pytest.raises(UsageError, match="must be a multiple of 4"):
        build_supernet("s0", channels=6, partial_channels=2)
