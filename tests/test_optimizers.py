"""Three steps by hand, in float64 Python, of the update rules that PyTorch defines."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import WeightsConfig
from dartsminus_tf.loop.optimizers import FIRST_LOSS_SCALE, SGD, Adam, RMSprop
from dartsminus_tf.loop.rates import learning_rate

START = [1.0, -2.0]
GRADIENTS = [[3.0, 4.0], [-0.3, 0.4], [30.0, -40.0]]  # norms 5, 0.5, 50
RATES = [0.1, 0.05, 0.2]


def run(optimizer):
    variable = keras.Variable(START)
    optimizer.build([variable])
    path = []
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(gradient)], [variable])
        path.append(variable.numpy())
    return np.array(path)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_clips_then_adds_l2_then_momentum_without_the_rate(nesterov):
    w, v = np.array(START), np.zeros(2)
    expected = []
    for gradient, rate in zip(np.array(GRADIENTS), RATES, strict=True):
        g = gradient * min(1.0, 2.0 / np.linalg.norm(gradient)) + 0.01 * w
        v = 0.9 * v + g
        w = w - rate * (g + 0.9 * v if nesterov else v)
        expected.append(w)
    actual = run(SGD(momentum=0.9, nesterov=nesterov, l2=0.01, global_clipnorm=2.0))
    np.testing.assert_allclose(actual, expected, rtol=2e-6)


def test_adam_adds_l2_and_corrects_before_epsilon():
    w, m, v = np.array(START), np.zeros(2), np.zeros(2)
    expected = []
    for step, (gradient, rate) in enumerate(zip(np.array(GRADIENTS), RATES, strict=True), start=1):
        g = gradient + 0.01 * w
        m, v = 0.5 * m + 0.5 * g, 0.999 * v + 0.001 * g**2
        w = w - rate * (m / (1 - 0.5**step)) / (np.sqrt(v / (1 - 0.999**step)) + 0.1)
        expected.append(w)
    np.testing.assert_allclose(run(Adam(beta_1=0.5, epsilon=0.1, l2=0.01)), expected, rtol=5e-6)


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1, momentum=0.9, nesterov=True, l2=0.1, global_clipnorm=1.0), Adam(0.1, l2=0.2)]
)
def test_config_round_trip(optimizer):
    copy = type(optimizer).from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config() and copy.l2 == optimizer.l2


@pytest.mark.parametrize("kind", [SGD, Adam, RMSprop])
def test_a_loss_scale_changes_finite_steps_in_nothing(kind):
    plain, scaled = (kind(0.1, l2=0.2, dynamic_loss_scale=scale) for scale in (False, True))
    a, b = keras.Variable(START), keras.Variable(START)
    for optimizer, variable in ((plain, a), (scaled, b)):
        optimizer.build([variable])
        for gradient in GRADIENTS:
            optimizer.apply([optimizer.scale_loss(tf.constant(gradient))], [variable])
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [SGD, Adam, RMSprop])
def test_gradients_that_overflow_change_nothing_but_the_scale(kind):
    optimizer = kind(0.1, l2=0.2, dynamic_loss_scale=True)
    variable = keras.Variable(START)
    optimizer.build([variable])
    optimizer.apply([optimizer.scale_loss(tf.constant([3.0, 4.0]))], [variable])
    kept = [v.numpy() for v in [variable, *optimizer._trainable_variables]]
    state = {v.path: v.numpy() for v in optimizer.variables}
    optimizer.apply([tf.constant([float("inf"), 1.0])], [variable])
    after = {v.path: v.numpy() for v in optimizer.variables}
    changed = {path.split("/")[-1] for path in after if not np.array_equal(after[path], state[path])}
    assert changed == {"iteration", "loss_scale", "finite_steps", "largest_gradient"}
    np.testing.assert_array_equal([v.numpy() for v in [variable, *optimizer._trainable_variables]], kept)
    assert optimizer.loss_scale.numpy() == FIRST_LOSS_SCALE / 2


def test_the_loss_scale_grows_after_many_finite_steps(monkeypatch):
    monkeypatch.setattr("dartsminus_tf.loop.optimizers.STEPS_TO_GROW", 2)
    optimizer, variable = SGD(0.1, dynamic_loss_scale=True), keras.Variable(START)
    optimizer.build([variable])
    scales = []
    for _ in range(5):
        optimizer.apply([optimizer.scale_loss(tf.constant([1.0, 1.0]))], [variable])
        scales.append(optimizer.loss_scale.numpy() / FIRST_LOSS_SCALE)
    assert scales == [1, 1, 2, 2, 4]


def test_learning_rates():
    cosine = WeightsConfig()
    assert learning_rate(cosine, 0, 50) == 0.025
    assert learning_rate(cosine, 25, 50) == pytest.approx(0.013)
    assert learning_rate(cosine, 49, 50) == pytest.approx(0.001 + 0.024 * (1 + np.cos(np.pi * 0.98)) / 2)
    linear = WeightsConfig(learning_rate=0.1, min_learning_rate=0.0, schedule="linear", warmup_epochs=5)
    assert learning_rate(linear, 0, 250) == pytest.approx(0.02)
    assert learning_rate(linear, 125, 250) == pytest.approx(0.05)
