"""Epochs in which the backbone stands still, its own learning rate, and statistics that stay."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import TrainConfig, load_config
from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.epochs import Loop, Work
from dartsminus_tf.loop.optimizers import SGD, Adam, RMSprop
from dartsminus_tf.loop.records import Records
from dartsminus_tf.pretrained.own.places import places_of
from dartsminus_tf.spaces.build import build_network
from dartsminus_tf.spaces.find import find_genotype
from dartsminus_tf.train.training import BackboneStart, NetworkTraining
from tests.small_loop import EPOCHS, SELDOM, STEPS, At, Small, assert_same, batches, end_state, go, interrupt

SIZE = 32
CELL = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
NETWORKS = {
    "darts": ("cifar10_s0_best", {"channels": 2, "layers": 3, "auxiliary": True, "drop_path": 0.2}),
    "nasbench201": (
        "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|",
        {"channels": 2, "layers": 1},
    ),
    "mobilenet": ("k3e3,k3e3|k3e3|k3e3|k3e3|k3e3|k3e3", {"width_multiplier": 0.1, "head_width": 16, "dropout": 0.3}),
}


def training(name: str, optimizer, rate=1.0, **options) -> NetworkTraining:
    text, given = NETWORKS[name]
    model = NetworkTraining(build_network(find_genotype(text).genotype, num_classes=6, **given), **options)
    model.backbone_rate = rate
    model.build((8, SIZE, SIZE, 3))
    model.compile(optimizer)
    return model


def values(variables) -> list[np.ndarray]:
    return [np.array(variable.numpy()) for variable in variables]


def same(before, variables) -> list[bool]:
    return [np.array_equal(one, two) for one, two in zip(before, values(variables), strict=True)]


def a_batch(seed=0):
    rng = np.random.default_rng(seed)
    x = tf.constant(rng.normal(size=(8, SIZE, SIZE, 3)), tf.float32)
    return x, tf.constant(rng.integers(0, 6, 8), tf.int32)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_still_backbone_is_bit_equal_and_its_classifier_learns(name):
    model = training(name, SGD(0.1, momentum=0.9, l2=0.1, global_clipnorm=1.0), ema_decay=0.9)
    network, optimizer = model.network, model.optimizer
    model.backbone_moves = False
    learning = {id(v) for v in network.classifier_variables}
    still = [v for v in network.variables if id(v) not in learning]
    assert {id(v) for v in still} >= {id(v) for v in network.backbone_variables}
    before, classifier = values(still), values(network.classifier_variables)
    step = tf.function(model.train_step)
    for _ in range(2):
        assert np.isfinite(float(step(a_batch())["loss"]))
    assert all(same(before, still)) and not any(same(classifier, network.classifier_variables))
    moved = [np.any(momentum.numpy() != 0) for momentum in optimizer.momentums]
    assert moved == [id(v) in learning for v in network.trainable_variables]
    averaged = [*network.trainable_variables, *network.non_trainable_variables]
    averages = dict(zip(map(id, averaged), sum(model.average.averages, []), strict=True))
    assert all(same(before, [averages[id(v)] for v in still]))
    assert optimizer.largest()[1] in {v.path for v in network.classifier_variables}

    model.backbone_moves = True
    tf.function(model.train_step)(a_batch())
    trained = [i for i, v in enumerate(still) if v is not network.drop_path_rate]
    moved = [not equal for equal in same(before, still)]
    assert np.mean([moved[i] for i in trained]) > 0.9  # some gradients are zero in so small a network


def test_the_frozen_step_is_that_of_a_linear_classifier():
    """w <- w - rate * (x (softmax(xw + b) - y) / N + l2 w), x the pooled features in inference, by hand."""
    model = training("nasbench201", SGD(0.5, l2=0.25))
    network, (x, y) = model.network, a_batch()
    head = network.skeleton.head
    kernel, bias = values(head.classifier.variables)
    features = network.features(x, training=False)["2"]
    pooled = tf.reduce_mean(tf.nn.relu(head.norm(features, training=False)), [1, 2]).numpy()
    model.backbone_moves = False
    model.train_step((x, y))
    logits = pooled @ kernel + bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    error = (shares / shares.sum(1, keepdims=True) - np.eye(6)[y.numpy()]) / len(pooled)
    np.testing.assert_allclose(
        head.classifier.kernel.numpy(), kernel - 0.5 * (pooled.T @ error + 0.25 * kernel), atol=1e-6
    )
    np.testing.assert_allclose(head.classifier.bias.numpy(), bias - 0.5 * (error.sum(0) + 0.25 * bias), atol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: SGD(0.2, momentum=0.9, nesterov=True), lambda: Adam(0.2), lambda: RMSprop(0.2)]
)
def test_a_multiple_of_the_rate_is_of_the_step(make):
    """In all optimizers the first step is proportional to the rate."""
    steps = []
    for multiple in (1.0, 0.25):
        fast, slow = keras.Variable([1.0, 2.0]), keras.Variable([1.0, 2.0])
        optimizer = make()
        optimizer.build([fast, slow])
        optimizer.multiply_rate([slow], multiple)
        optimizer.apply([tf.constant([0.5, -1.0])] * 2, [fast, slow])
        steps.append([[1.0, 2.0] - v.numpy() for v in (fast, slow)])
    np.testing.assert_array_equal(*[step[0] for step in steps])
    np.testing.assert_allclose(steps[1][1], 0.25 * steps[0][1], rtol=1e-5)
    np.testing.assert_array_equal(steps[0][0], steps[0][1])


def test_the_backbone_has_its_own_rate():
    """By hand: w <- w - multiple * rate * gradient, with the rate of the epoch."""
    model = training("nasbench201", SGD(0.5), rate=0.1)
    network, (x, y) = model.network, a_batch()
    model.optimizer.learning_rate = 0.2
    before = values(network.trainable_variables)
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, network(x, training=True))
    gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
    model.train_step((x, y))
    of_classifier = {id(v) for v in network.classifier_variables}
    for variable, value, gradient in zip(network.trainable_variables, before, gradients, strict=True):
        rate = 0.2 if id(variable) in of_classifier else 0.02
        np.testing.assert_allclose(variable.numpy(), value - rate * gradient.numpy(), atol=1e-6, err_msg=variable.path)


def test_statistics_stay_where_they_are_to_stay():
    model = training("nasbench201", SGD(0.1))
    model.still_statistics = True
    places = places_of(model.network)
    statistics = [v for place, v in places.items() if "/moving_" in place]
    before, all_before = values(statistics), values(model.network.trainable_variables)
    tf.function(model.train_step)(a_batch())
    assert all(same(before, statistics)) and not all(same(all_before, model.network.trainable_variables))
    model.still_statistics = False
    tf.function(model.train_step)(a_batch())
    assert not any(same(before, statistics))


class SmallWithBackbone(Small):
    """The batch norm is the backbone."""

    def __init__(self):
        super().__init__()
        self.call_with_still_backbone = lambda x: self(x, training=False)

    @property
    def classifier_variables(self):
        return self.classifier.variables


def frozen_loop(path):
    """Three epochs of five steps, of which the first is frozen."""
    keras.utils.set_random_seed(7)
    model = NetworkTraining(SmallWithBackbone(), auxiliary_weight=0.0, ema_decay=0.9)
    model.backbone_rate = 0.5
    model.build((8, 4, 4, 3))
    model.compile(SGD(0.1, momentum=0.9, global_clipnorm=1.0))
    return Loop(model, Work(batches, STEPS, EPOCHS, batches(10**5).take(1)), Checkpoints(path), Records(path), SELDOM)


def test_a_run_that_stops_in_either_part_ends_as_one_that_does_not(tmp_path):
    loop, rows = frozen_loop(tmp_path / "whole"), {}
    go(loop, rows, BackboneStart(1))
    whole = (end_state(loop), rows)
    first = frozen_loop(tmp_path / "first")
    start = values(first.model.network.norm.variables)
    kept: dict = {}
    with pytest.raises(Stopped):
        go(first, kept, BackboneStart(1), At(2, interrupt))
    assert all(same(start, first.model.network.norm.variables))
    with pytest.raises(Stopped):
        go(second := frozen_loop(tmp_path / "first"), kept, BackboneStart(1), At(4, interrupt))
    assert not all(same(start, second.model.network.norm.variables))
    last = frozen_loop(tmp_path / "first")
    go(last, kept, BackboneStart(1))
    assert_same(last, kept, whole)


def test_what_a_config_may_say():
    config = load_config(TrainConfig, overrides=["freeze_epochs=3", "epochs=3", "backbone_learning_rate=0.1"])
    assert (config.freeze_epochs, config.backbone_learning_rate, config.freeze_statistics) == (3, 0.1, False)
    for override in ("freeze_epochs=4", "backbone_learning_rate=0", "freeze_epochs=-1"):
        with pytest.raises(UsageError, match=override.split("=")[0]):
            load_config(TrainConfig, overrides=["epochs=3", override])
