"""Recomputed functions against the plain ones: values, gradients, second derivatives, and what is kept."""

import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.mixed.recompute import recomputed


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


@pytest.mark.parametrize(
    "space,channels,layers,options,relative",
    [
        pytest.param("s0", 4, 3, {}, 0, marks=pytest.mark.slow),
        # The gradient of an edge's weight is one sum over all nodes plainly, and another one cell by cell.
        pytest.param(
            *("s0", 4, 3, {"partial_channels": 2, "edge_normalization": True, "auxiliary": "conv1"}, 1e-5),
            marks=pytest.mark.slow,
        ),
        ("nasbench201", 4, 1, {"auxiliary": None}, 0),
        ("mobilenet", 8, 7, {}, 0),
    ],
    ids=["s0", "s0_partial", "nasbench201", "mobilenet"],
)
def test_rematerialisation_gives_the_same_numbers(space, channels, layers, options, relative):
    x, y = tf.random.normal([4, 32, 32, 3]), tf.constant([0, 1, 2, 3])
    nets = [dm.build_supernet(space, channels, layers, 5, rematerialize=again, **options) for again in (False, True)]
    results = []
    for net in nets:
        net.build(x.shape)
        net.set_weights(nets[0].get_weights())
        variables = [v.value for v in (*net.weight_variables, *net.alpha_variables)]

        @tf.function
        def step(net=net, variables=variables):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                logits = net(x, training=True)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
            return [logits, *tape.gradient(loss, variables)]

        started = net.get_weights()
        results.append([value.numpy() for value in step()] + [v.numpy() for v in net.non_trainable_variables])
        net.set_weights(started)
    for plain, again in zip(*results, strict=True):
        np.testing.assert_allclose(again, plain, rtol=relative, atol=1e-2 * relative)


@pytest.mark.parametrize("space,options", [("s4", {}), ("s0", {"skip_dropout": 0.3})])
def test_what_cannot_be_repeated_is_refused(space, options):
    with pytest.raises(UsageError, match="rematerialize cannot repeat"):
        dm.build_supernet(space, 4, 3, rematerialize=True, **options)
