"""Searched layers with affine norms, against blocks of derived networks; and a teacher in the weight step."""

import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.loop.distill import Distillation
from dartsminus_tf.loop.optimizers import SGD, Adam
from dartsminus_tf.spaces.mobilenet.blocks import InvertedResidual
from dartsminus_tf.spaces.mobilenet.genotype import BLOCKS, block_of
from dartsminus_tf.spaces.mobilenet.inherit import Candidates, write_block
from dartsminus_tf.spaces.mobilenet.mixed import MobileLayer
from dartsminus_tf.spaces.mobilenet.plan import Convention, LayerPlan
from tests.mobile_runs import SEEN, network, shake, supernet

PLANS = {"keep": LayerPlan(4, 4, 1, 0, False), "change": LayerPlan(4, 6, 2, 0, True)}
SAME = Convention("same", 1e-3)


def made(plan: LayerPlan, **options) -> MobileLayer:
    layer = MobileLayer(plan, convention=SAME, affine=True, **options)
    layer.build()
    shake(layer)
    return layer


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_an_affine_layer_is_the_weighted_sum_of_its_blocks(plan):
    """w_k (scale_k z + offset_k [+ x]), in training, with gradients of alpha, and of scales and offsets by name."""
    layer, blocks = made(plan), []
    for name in BLOCKS:
        block = InvertedResidual(plan, *block_of(name), convention=SAME)
        block.build((None, None, None, plan.in_channels))
        write_block(block, Candidates(layer).block(name))
        blocks.append(block)
    x, beta = tf.random.normal([3, 9, 8, 4]), tf.constant(0.7)
    alpha = tf.random.normal([7 if plan.has_skip else 6])

    def plain(w):
        y = tf.add_n([w[k] * block(x, training=True) for k, block in enumerate(blocks)])
        return y + (w[6] + beta) * x if plan.has_skip else y

    norms = [block.project.norm for block in blocks]
    scales, offsets = layer.scales_and_offsets[2:]
    sides = (
        (lambda w: layer(x, w, beta, training=True), [scales, offsets]),
        (plain, [*(norm.gamma for norm in norms), *(norm.beta for norm in norms)]),
    )
    results = []
    for compute, variables in sides:
        with tf.GradientTape() as tape:
            tape.watch(alpha)
            y = compute(tf.nn.softmax(alpha))
            loss = tf.reduce_sum(y * tf.sin(y))
        of_alpha, *others = tape.gradient(loss, [alpha, *(variable.value for variable in variables)])
        results.append([y, of_alpha, np.concatenate([np.reshape(gradient, -1) for gradient in others])])
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(layer.output_variance[3], blocks[3].project.norm.moving_variance, rtol=1e-4)
    np.testing.assert_allclose(layer.middle_mean[5, 12:], blocks[5].depthwise.norm.moving_mean, rtol=1e-3, atol=1e-5)


def test_recomputed_and_bfloat16_affine_layers():
    """The same numbers when it is computed again; scales and offsets stay float32 in mixed precision."""
    plan, x, weights = PLANS["keep"], tf.random.normal([3, 8, 8, 4]), tf.fill([7], 1 / 7)
    results = []
    for again in (False, True):
        layer = made(plan, rematerialize=again)
        for variable, value in zip(layer.variables, results[0][1] if results else layer.get_weights(), strict=True):
            variable.assign(value)
        before = layer.get_weights()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(layer(x, weights, tf.constant(0.5), training=True)))
        gradients = tape.gradient(loss, [variable.value for variable in layer.trainable_variables])
        results.append(([loss, *gradients], before))
    for plain, recomputed in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_array_equal(plain, recomputed)
    y = layer(tf.cast(x, tf.bfloat16), weights, tf.constant(0.5), training=True)
    assert y.dtype == tf.bfloat16 and {v.dtype for v in layer.scales_and_offsets} == {"float32"}


def cross_entropy(logits, y) -> float:
    return -np.mean(np.log(softmax(logits))[np.arange(len(y)), y])


def softmax(logits) -> np.ndarray:
    weights = np.exp(np.asarray(logits, np.float64))
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.fixture
def taught():
    """A search with a teacher, and its batch; the weights' rate is so small that they stay."""
    net, teacher = supernet(affine=True), network("k3e3,skip|k3e3,skip|k3e3|k3e3,skip|k3e3|k3e3")
    shake(teacher)
    teacher.preprocessing = SEEN
    search = dm.BilevelSearch(net)
    search.compile(SGD(1e-9, momentum=0.9), Adam(1e-3))
    search.distillation = Distillation(teacher, weight=0.75, temperature=2.0, mean=(0.25,) * 3, std=(1.0,) * 3)
    rng = np.random.default_rng(0)
    return search, teacher, rng.normal(size=(4, 32, 32, 3)).astype(np.float32), np.array([0, 1, 2, 4])


def test_the_weight_step_alone_learns_from_the_teacher(taught):
    search, teacher, x, y = taught
    held = teacher.get_weights()
    search.supernet.alphas["keep"].assign(np.random.default_rng(1).normal(size=(3, 7)))
    logits = search.supernet(x, training=True).numpy()
    seen = ((x + 0.25 - np.array(SEEN["mean"])) / np.array(SEEN["std"])).astype(np.float32)
    t, s = (softmax(values / 2.0) for values in (teacher(seen).numpy(), logits))
    divergence = np.mean(np.sum(t * (np.log(t) - np.log(s)), axis=-1))
    search.weight_step(x, y)
    expected = 0.25 * cross_entropy(logits, y) + 0.75 * 4 * divergence
    np.testing.assert_allclose(search.loss_metric.result(), expected, rtol=1e-4)
    search.architecture_step(x, y)
    np.testing.assert_allclose(search.alpha_loss_metric.result(), cross_entropy(logits, y), rtol=1e-4)
    assert all(map(np.array_equal, held, teacher.get_weights()))
    teachers = {id(variable) for variable in teacher.variables}
    assert not teachers & {id(variable) for variable in (*search.variables, *search.optimizer.variables)}


def test_the_step_that_the_second_order_looks_ahead_by_has_the_teacher(taught):
    """With the teacher alone in the weights' loss its labels make no difference to alpha."""
    search, _, x, y = taught
    search.optimizer.learning_rate.assign(0.05)
    started, moved = search.get_weights(), {}
    for weight in (1.0, 0.5):
        search.distillation.weight = weight
        for labels in (y, y[::-1]):
            search.set_weights(started)
            search.alpha_optimizer.build(search.supernet.alpha_variables)
            for variable in search.alpha_optimizer.variables:
                variable.assign(np.zeros(variable.shape))
            search.unrolled_architecture_step((x, labels), (x, y))
            momentum = search.alpha_optimizer._momentums[0].numpy()
            moved.setdefault(weight, []).append(momentum)
    assert np.array_equal(*moved[1.0]) and np.abs(moved[0.5][0] - moved[0.5][1]).max() > 1e-7
