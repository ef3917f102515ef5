"""The second-order gradient against exact differentiation of the unrolled objective."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.loop.optimizers import SGD, Adam
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops.norm import BatchNorm
from tests.test_bilevel import BATCH, OTHER, LinearSupernet


def cosine(a, b):
    a, b = np.ravel(a), np.ravel(b)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("nesterov", [False, True])
def test_against_exact_differentiation_of_one_sgd_step(nesterov):
    """logits = x (w * (1 + alpha)) is simple enough to write L_val(w'(alpha), alpha) out and differentiate it."""
    rate, momentum, l2 = 0.5, 0.9, 0.1
    x, x_valid = tf.random.stateless_normal([2, 6, 3], [5, 6])
    y, y_valid = tf.constant([0, 1, 1, 0, 1, 0]), tf.constant([1, 1, 0, 0, 0, 1])
    model = dm.BilevelSearch(LinearSupernet(), order="second")
    model.build((6, 3))
    optimizer = SGD(rate, momentum=momentum, nesterov=nesterov, l2=l2, global_clipnorm=1e9)
    model.compile(optimizer, keras.optimizers.SGD(1.0))
    net = model.supernet
    net.alpha.assign([[0.2], [-0.4], [0.1]])
    optimizer.momentums[0].assign(tf.random.stateless_normal([3, 2], [7, 8]))
    w, alpha, v = (
        tf.constant(net.w.numpy()),
        tf.constant(net.alpha.numpy()),
        tf.constant(optimizer.momentums[0].numpy()),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as outer:
        outer.watch(alpha)
        with tf.GradientTape() as inner:
            inner.watch(w)
            train = loss(y, x @ (w * (1 + alpha)))
        g = inner.gradient(train, w) + l2 * w
        velocity = momentum * v + g
        unrolled = w - rate * (g + momentum * velocity if nesterov else velocity)
        valid = loss(y_valid, x_valid @ (unrolled * (1 + alpha)))
    exact = outer.gradient(valid, alpha)
    model.unrolled_architecture_step((x, y), (x_valid, y_valid))
    np.testing.assert_allclose(alpha - net.alpha.numpy(), exact, rtol=5e-3, atol=1e-5)
    np.testing.assert_array_equal(net.w.numpy(), w)


class SmoothSupernet(keras.Model):
    """Two mixed edges in a row, each softmax(alpha) over (convolution + batch norm, tanh, identity) plus beta * skip.

    A real supernet's ReLUs and near-constant channels make its second derivatives jump within float32's resolution, so
    that no finite difference could be compared with them; this one is smooth.
    """

    def build(self, input_shape):
        normal = keras.initializers.RandomNormal(stddev=0.3)
        self.kernels = [self.add_weight(shape=(3, 3, 3, 3), initializer=normal, name=f"kernel_{i}") for i in (0, 1)]
        self.norms = [BatchNorm() for _ in self.kernels]
        for norm in self.norms:
            norm.build((None, None, None, 3))
        self.head = self.add_weight(shape=(3, 10), initializer=normal, name="head")
        self.alpha = self.add_weight(shape=(2, 3), initializer=normal, name="alpha")
        self.beta = self.add_weight(shape=(), initializer="ones", trainable=False, name="beta")

    def call(self, x, training=False):
        weights = tf.nn.softmax(tf.convert_to_tensor(self.alpha))
        for edge, (kernel, norm) in enumerate(zip(self.kernels, self.norms, strict=True)):
            convolved = norm(fn.conv2d(x, tf.convert_to_tensor(kernel)), training=training)
            w = weights[edge]
            x = w[0] * convolved + w[1] * tf.tanh(x) + w[2] * x + tf.convert_to_tensor(self.beta) * x
        return tf.matmul(tf.reduce_mean(tf.tanh(x), axis=[1, 2]), tf.convert_to_tensor(self.head))

    @property
    def weight_variables(self):
        return [*self.kernels, *(v for norm in self.norms for v in norm.trainable_variables), self.head]

    @property
    def alpha_variables(self):
        return [self.alpha]


def test_with_batch_norm_against_nested_tapes():
    """Exact: grad_alpha L_val(w') - rate * grad_alpha <grad_w L_train(w), u>. All but alpha is put back."""
    rate, l2 = 20.0, 1e-2
    model = dm.BilevelSearch(SmoothSupernet(), order="second")
    model.build((8, 8, 8, 3))
    model.compile(SGD(rate, l2=l2), keras.optimizers.SGD(1.0))
    net = model.supernet
    weights = [v.value for v in net.weight_variables]
    alpha, start = net.alpha.value, [tf.identity(w) for w in weights]
    before = [v.numpy() for v in net.variables]
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            train = model._loss_of(BATCH)[0]
        train_gradient = inner.gradient(train, weights)
    for w, s, g in zip(weights, start, train_gradient, strict=True):
        w.assign(s - rate * (g + l2 * s))
    with tf.GradientTape() as tape:
        valid = model._loss_of(OTHER)[0]
    direct, *u = tape.gradient(valid, [alpha, *weights])
    exact = direct - rate * outer.gradient(train_gradient, alpha, output_gradients=u)
    for variable, value in zip(net.variables, before, strict=True):
        variable.assign(value)

    model.unrolled_architecture_step(BATCH, OTHER)
    moved = before[[v is net.alpha for v in net.variables].index(True)] - net.alpha.numpy()
    assert cosine(moved, exact) > 0.999
    assert cosine(moved, direct) < 0.999  # the second-order part matters here
    np.testing.assert_allclose(moved, exact, rtol=0.05, atol=0.02 * np.abs(exact).max())
    for variable, old in zip(net.variables, before, strict=True):
        assert variable is net.alpha or np.array_equal(variable.numpy(), old)


def test_unknown_order():
    with pytest.raises(ValueError, match="order must be"):
        dm.BilevelSearch(LinearSupernet(), order="third")


def test_a_search_of_second_order_runs():
    model = dm.BilevelSearch(dm.build_supernet("nasbench201", channels=2, layers=1), order="second")
    model.build((8, 8, 8, 3))
    model.compile(SGD(0.05, momentum=0.9, l2=3e-4, global_clipnorm=5.0), Adam(1e-2))
    data = tf.data.Dataset.from_tensors((BATCH, OTHER)).repeat()
    history = model.fit(data, steps_per_epoch=6, epochs=2, verbose=0, shuffle=False).history
    assert history["loss"][1] < history["loss"][0]
