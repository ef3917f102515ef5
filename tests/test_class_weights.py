"""The weights of classes in the loss: by hand, with smoothed and mixed targets and an auxiliary head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import TrainConfig
from dartsminus_tf.data.labels import balanced
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.train import runner
from dartsminus_tf.train.training import NetworkTraining

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 3.0], [1.0, -2.0, 0.5]], np.float32)
LABELS = np.array([0, 0, 1, 2])


class Fixed(keras.Model):
    """Gives `LOGITS` plus a bias, and twice that from its auxiliary head."""

    auxiliary, num_classes = True, 3

    def build(self, input_shape):
        self.bias = self.add_weight(shape=(3,), initializer="zeros")

    def call(self, x, training=False):
        logits = tf.constant(LOGITS) + self.bias
        return (logits, 2 * logits) if training else logits


def test_balanced_weights_by_hand():
    labels = np.array([0] * 6 + [1] * 3 + [3])
    np.testing.assert_allclose(balanced(labels, 5), [10 / (3 * 6), 10 / (3 * 3), 0, 10 / 3, 0], rtol=1e-6)
    assert balanced(labels, 5)[labels].sum() == pytest.approx(10)


def cross_entropy(target, logits):
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return -(target * np.log(exponents / exponents.sum(axis=1, keepdims=True))).sum(axis=1)


def by_hand(target, weights, smoothing):
    """mean of w_i * (CE(smoothed target, logits) + 0.4 CE(smoothed target, 2 logits))."""
    smoothed = target * (1 - smoothing) + smoothing / 3
    each = cross_entropy(smoothed, LOGITS) + 0.4 * cross_entropy(smoothed, 2 * LOGITS)
    return float((weights * each).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("is_mixed", [False, True])
def test_the_loss_of_weighed_classes_by_hand(smoothing, is_mixed):
    class_weights = np.array([2 / 3, 4 / 3, 4 / 3], np.float32)
    model = NetworkTraining(Fixed(), auxiliary_weight=0.4, label_smoothing=smoothing)
    model.build((4, 1))
    model.compile(keras.optimizers.SGD(1.0))
    one_hot = np.eye(3, dtype=np.float32)[LABELS]
    target = 0.75 * one_hot + 0.25 * one_hot[::-1] if is_mixed else one_hot
    y = tf.constant(target) if is_mixed else tf.constant(LABELS)
    model.class_weights = class_weights
    weights = np.array([1 / 2, 1 / 2, 1, 1]) * 4 / 3
    if is_mixed:  # of the examples 0 and 3, 1 and 2
        weights = 0.75 * weights + 0.25 * weights[::-1]
    measured = model.train_step((tf.zeros([4, 1]), y))
    assert float(measured["loss"]) == pytest.approx(by_hand(target, weights, smoothing), rel=1e-5)
    assert float(measured["accuracy"]) == 0.25  # of examples, which are not weighed
    smoothed = target * (1 - smoothing) + smoothing / 3
    softmax = lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)  # noqa: E731
    each = softmax(LOGITS) - smoothed + 0.4 * 2 * (softmax(2 * LOGITS) - smoothed)
    np.testing.assert_allclose(model.network.bias.numpy(), -(weights[:, None] * each).mean(axis=0), rtol=1e-4)
    model.network.bias.assign([0.0, 0.0, 0.0])
    model.loss_metric.reset_state()
    plain = by_hand(one_hot, np.ones(4), 0.0) - 0.4 * float(cross_entropy(one_hot, 2 * LOGITS).mean())
    assert float(model.test_step((tf.zeros([4, 1]), tf.constant(LABELS)))["loss"]) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_a_training_weighs_the_classes_of_the_examples_that_train(class_weight, tmp_path, monkeypatch):
    overrides = ["data.batch_size=8", "data.image_size=8", "data.train_limit=100", "channels=2", "layers=1"]
    overrides += ["genotype='|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|'"]
    overrides += ["auxiliary_weight=0", "drop_path=0", f"class_weight={class_weight}"]
    config = load_config(TrainConfig, overrides=overrides)
    monkeypatch.setattr(runner, "_train", lambda run, model, data, *rest: (model.class_weights, data))
    found, data = runner.run_training(config, tmp_path / "run")
    labels = data.source.train.labels()[data.train_indices]
    assert len(labels) == 90
    assert (found is None) == (class_weight == "none")
    if found is not None:
        np.testing.assert_allclose(found, 90 / (10 * np.bincount(labels, minlength=10)), rtol=1e-6)
