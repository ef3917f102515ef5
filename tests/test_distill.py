"""Distillation: the loss by hand, images in the teacher's form, a teacher that stays as it is."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import TrainConfig, load_config
from dartsminus_tf.config.distill import DistillConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT
from dartsminus_tf.loop.distill import Distillation, find_teacher
from dartsminus_tf.loop.optimizers import SGD
from dartsminus_tf.loop.state import state_variables
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS
from dartsminus_tf.train.training import NetworkTraining
from tests.finished_run import with_digests
from tests.legacy.artefacts import unpack
from tests.small_loop import Small, batch

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
DIGITS = [str(digit) for digit in range(10)]


class Fixed:
    """A teacher whose logits are the images' pixels."""

    preprocessing = None

    def __call__(self, x, training):
        assert training is False
        self.seen = x
        return tf.reshape(x, [x.shape[0], -1])[:, :2]


def softmax(logits):
    powers = np.exp(logits - np.max(logits, -1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize(("weight", "temperature"), [(0.3, 4.0), (1.0, 1.0)])
def test_the_loss_by_hand(weight, temperature):
    """(1 - w) CE + w T^2 KL(softmax(t / T) || softmax(s / T)), the mean over two examples."""
    images = tf.constant([[[[1.0, -2.0, 0.0]]], [[[0.5, 3.0, 0.0]]]])
    taught, logits = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([[0.2, 0.1], [-1.0, 2.0]])
    p, q = softmax(taught / temperature), softmax(logits / temperature)
    expected = (1 - weight) * 0.7 + weight * temperature**2 * np.mean(np.sum(p * np.log(p / q), axis=1))
    found = Distillation(Fixed(), weight, temperature, MEAN, STD).loss(
        images, tf.constant(0.7), tf.constant(logits, tf.float32)
    )
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_one_number_of_the_loss():
    """T = 1: teacher (3/4, 1/4), student (1/2, 1/2): KL = 3/4 log 3/2 + 1/4 log 1/2 = 0.1308."""
    images = tf.constant([[[[np.log(3.0), 0.0, 0.0]]]], tf.float32)
    loss = Distillation(Fixed(), 1.0, 1.0, MEAN, STD).loss(images, tf.constant(9.0), tf.zeros([1, 2]))
    assert float(loss) == pytest.approx(0.130812, abs=1e-6)


def test_the_teacher_sees_images_in_its_own_form():
    teacher = Fixed()
    teacher.preprocessing = {"mean": [0.1, 0.2, 0.3], "std": [1.0, 0.5, 0.3]}
    pixels = np.random.default_rng(0).uniform(size=(2, 4, 4, 3))
    x = tf.constant((pixels - MEAN) / STD, tf.float32)
    Distillation(teacher, 0.5, 2.0, MEAN, STD).teach(x)
    np.testing.assert_allclose(teacher.seen, (pixels - [0.1, 0.2, 0.3]) / [1.0, 0.5, 0.3], atol=1e-5)
    teacher.preprocessing = {"mean": list(MEAN), "std": list(STD)}
    Distillation(teacher, 0.5, 2.0, MEAN, STD).teach(x)
    assert teacher.seen is x


def trained_steps(distillation, steps=3):
    keras.utils.set_random_seed(7)
    model = NetworkTraining(Small(), auxiliary_weight=0.0)
    model.build((8, 4, 4, 3))
    model.compile(SGD(0.1, momentum=0.9))
    model.distillation = distillation
    step = tf.function(model.train_step)
    return model, [float(step(batch(number))["loss"]) for number in range(steps)]


def test_a_step_learns_from_its_teacher_which_stays_as_it_is():
    teacher = Small()
    teacher.build((8, 4, 4, 3))
    teacher.preprocessing = None
    before = [v.numpy() for v in teacher.variables]
    plain, _ = trained_steps(None)
    model, _ = trained_steps(Distillation(teacher, 1.0, 2.0, MEAN, STD), 40)
    assert all(np.array_equal(b, v.numpy()) for b, v in zip(before, teacher.variables, strict=True))
    held = {id(v) for v in state_variables(model)}
    assert not held & {id(v) for v in teacher.variables} and len(held) == len(state_variables(plain))
    x = batch(99)[0]
    taught = softmax(teacher(x).numpy())
    far, near = (np.mean(np.abs(softmax(m.network(x).numpy()) - taught)) for m in (plain, model))
    assert near < 0.5 * far


def test_the_loss_of_a_step_is_that_of_the_equation():
    teacher = Small()
    teacher.build((8, 4, 4, 3))
    teacher.preprocessing = None
    model, losses = trained_steps(Distillation(teacher, 0.25, 3.0, MEAN, STD), 1)
    same, hard = trained_steps(None, 1)  # the same random draws
    student, soft = trained_steps(Distillation(teacher, 1.0, 3.0, MEAN, STD), 1)
    assert losses[0] == pytest.approx(0.75 * hard[0] + 0.25 * soft[0], rel=1e-5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished training on digits."""
    folder = tmp_path_factory.mktemp("old")
    return with_digests(unpack("train_nasbench201", folder) / "train_nasbench201", folder / "teacher")


def test_a_teacher_is_found_and_knows_the_classes(run):
    teacher = find_teacher(DistillConfig(teacher=str(run)))
    assert find_teacher(None) is None
    distillation = teacher.read(MEAN, STD, teacher.about.class_names)
    assert distillation.teacher.num_classes == 10 and distillation.scale is not None
    result = json.loads((run / RESULT).read_text())
    digest = result["digests"][WEIGHTS]
    assert teacher.content() == {"teacher": digest}
    assert teacher.result()["distill"] | {"digest": digest, "seconds": result["seconds"]} == teacher.result()["distill"]
    for names, received in ((list("abc"), "of 10 classes"), (list("abcdefghij"), "of 10 other classes")):
        with pytest.raises(UsageError, match=f"fine-tune it on them first .*{received}"):
            teacher.read(MEAN, STD, names)
    with pytest.raises(UsageError, match="no such preset"):
        find_teacher(DistillConfig(teacher="absent"))


def test_what_a_config_may_say():
    for override in ("weight=0", "weight=1.1", "temperature=0", "teacher=null"):
        with pytest.raises(UsageError, match=f"distill.{override.split('=')[0]}"):
            load_config(TrainConfig, overrides=["distill.teacher=runs/a", f"distill.{override}"])
