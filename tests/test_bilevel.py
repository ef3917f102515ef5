"""The bilevel step: what moves when, by how much, under `fit`, and across an interruption."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.foundation.errors import Stopped
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.epochs import Loop, Work
from dartsminus_tf.loop.records import Records
from dartsminus_tf.search.beta import BetaCallback, BetaSchedule
from dartsminus_tf.search.bilevel import BilevelSearch
from dartsminus_tf.search.runner import build_search

BATCH = (tf.random.stateless_normal([8, 8, 8, 3], [1, 2]), tf.range(8) % 10)
OTHER = (tf.random.stateless_normal([8, 8, 8, 3], [3, 4]), (tf.range(8) * 3) % 10)


class LinearSupernet(keras.Model):
    """logits = x @ (w * (1 + alpha)): small enough to work out by hand."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(3, 2), initializer="glorot_uniform", name="w")
        self.alpha = self.add_weight(shape=(3, 1), initializer="zeros", name="alpha")
        self.beta = self.add_weight(shape=(), initializer="ones", trainable=False, name="beta")

    def call(self, x, training=False):
        return tf.matmul(x, tf.convert_to_tensor(self.w) * (1.0 + tf.convert_to_tensor(self.alpha)))

    @property
    def weight_variables(self):
        return [self.w]

    @property
    def alpha_variables(self):
        return [self.alpha]


def cross_entropy_gradient(x, y, w, alpha):
    """Gradients of the mean cross-entropy with respect to w and alpha, by hand."""
    logits = x @ (w * (1 + alpha))
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    d = x.T @ (p - np.eye(2)[y]) / len(y)
    return d * (1 + alpha), (d * w).sum(1, keepdims=True)


def test_first_order_step_by_hand():
    """Alpha moves first, on the validation batch; the weights then see the new alpha, on the training batch."""
    rng = np.random.default_rng(0)
    xt, xv = rng.normal(size=(2, 6, 3)).astype(np.float32)
    yt, yv = np.array([0, 1, 1, 0, 1, 0]), np.array([1, 1, 0, 0, 0, 1])
    model = BilevelSearch(LinearSupernet())
    model.build((6, 3))
    model.compile(keras.optimizers.SGD(0.5), keras.optimizers.SGD(0.25))
    w, alpha = model.supernet.w.numpy().astype(np.float64), np.zeros((3, 1))
    for _ in range(3):
        model.train_step(((tf.constant(xt), yt), (tf.constant(xv), yv)))
        alpha = alpha - 0.25 * cross_entropy_gradient(xv, yv, w, alpha)[1]
        w = w - 0.5 * cross_entropy_gradient(xt, yt, w, alpha)[0]
    np.testing.assert_allclose(model.supernet.alpha.numpy(), alpha, atol=1e-5)
    np.testing.assert_allclose(model.supernet.w.numpy(), w, atol=1e-5)


@pytest.fixture(scope="module")
def tiny(tiny_config):
    """One built tiny search, with its two steps traced once."""
    data = ImageData(tiny_config.data, 0)
    model = build_search(tiny_config, data)
    return model, tf.function(model.architecture_step), tf.function(model.weight_step)


def values(variables):
    return [variable.numpy() for variable in variables]


def moved(before, variables):
    return [not np.array_equal(old, variable.numpy()) for old, variable in zip(before, variables, strict=True)]


def test_alpha_moves_only_in_the_architecture_step(tiny):
    model, architecture_step, weight_step = tiny
    net = model.supernet
    alphas, weights = values(net.alpha_variables), values(net.weight_variables)
    architecture_step(*BATCH)
    assert all(moved(alphas, net.alpha_variables)) and not any(moved(weights, net.weight_variables))
    alphas = values(net.alpha_variables)
    weight_step(*BATCH)
    assert all(moved(weights, net.weight_variables)) and not any(moved(alphas, net.alpha_variables))


def test_beta_is_never_trained_and_changes_the_loss(tiny):
    model, architecture_step, weight_step = tiny
    net = model.supernet
    net.beta.assign(0.6)
    architecture_step(*BATCH)
    weight_step(*OTHER)
    assert net.beta.numpy() == np.float32(0.6)
    assert all(net.beta is not v for v in net.weight_variables + net.alpha_variables)
    logits = tf.function(lambda: net(BATCH[0], training=False))
    first = logits().numpy()
    net.beta.assign(0.0)
    assert np.abs(logits() - first).max() > 1e-3


def test_every_trainable_variable_has_one_optimizer(tiny):
    net = tiny[0].supernet
    groups = net.weight_variables + net.alpha_variables
    assert len({id(v) for v in groups}) == len(groups)
    assert {id(v) for v in groups} == {id(v) for v in net.trainable_variables}


def test_an_interrupted_search_goes_on_bit_for_bit(tiny_config, tmp_path):
    """Two epochs in one go equal one that is stopped in the middle of the second: difference 0.0."""
    config = tiny_config.model_copy(update={"space": "nasbench201", "layers": 1})  # traced three times: a small one

    def search(directory, *callbacks):
        keras.utils.set_random_seed(0)
        data = ImageData(config.data, 0)
        model = build_search(config, data)
        weights, alpha = data.halves(0.5)
        batches = lambda first: tf.data.Dataset.zip(weights.from_step(first), alpha.from_step(first))  # noqa: E731
        loop = Loop(
            model, Work(batches, 2, 2, data.held_out(0.5)), Checkpoints(directory), Records(directory), config.runtime
        )
        position = loop.restore()
        loop.run([BetaCallback(BetaSchedule(2)), *callbacks])
        return values(loop.variables), position

    def stop_after_three(batch, logs=None):
        calls.append(batch)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    calls, stop = [], keras.callbacks.LambdaCallback(on_train_batch_end=stop_after_three)
    whole, _ = search(tmp_path / "whole")
    with pytest.raises(Stopped, match="epoch 2, step 1"):
        search(tmp_path / "parts", stop)
    parts, position = search(tmp_path / "parts")
    assert (position.epoch, position.step) == (1, 1)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)
