"""A run of three epochs of five steps on a network so small that it takes a second."""

import os
import signal

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.config import RuntimeConfig
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.epochs import Loop, Work
from dartsminus_tf.loop.faults import write_faults
from dartsminus_tf.loop.optimizers import SGD
from dartsminus_tf.loop.records import Records
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops.layers import Classifier
from dartsminus_tf.ops.norm import BatchNorm
from dartsminus_tf.train.training import NetworkTraining

STEPS, EPOCHS = 5, 3
OFTEN = RuntimeConfig(verbose=0, save_minutes=1e-9)
SELDOM = RuntimeConfig(verbose=0)


class Small(keras.Model):
    """A batch norm, drop path and a linear layer: moving statistics, random draws and weights."""

    auxiliary, num_classes = False, 6

    def __init__(self):
        super().__init__()
        self.norm, self.classifier = BatchNorm(), Classifier(6)

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.classifier.build(input_shape)

    def call(self, x, training=False):
        x = self.norm(x, training=training)
        return self.classifier(fn.drop_path(x, tf.constant(0.3)) if training else x)


def batch(step):
    x = tf.random.stateless_normal([8, 4, 4, 3], tf.stack([1, step]))
    return x, tf.random.stateless_uniform([8], tf.stack([2, step]), 0, 6, tf.int32)


def batches(first, make=batch):
    return tf.data.Dataset.range(first, 10**6).map(make)


class Rows(keras.callbacks.Callback):
    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def on_epoch_end(self, epoch, logs=None):
        self.rows[epoch] = dict(logs)


class At(keras.callbacks.Callback):
    """Calls `act` after training step `number` (from 0, over all epochs) or validation batch, once."""

    def __init__(self, number, act, validation=False):
        super().__init__()
        self.left, self.act, self.validation = number, act, validation

    def on_train_batch_end(self, batch, logs=None):
        self._count(not self.validation)

    def on_epoch_begin(self, epoch, logs=None):
        self._count(self.validation)

    def _count(self, counts):
        if counts:
            self.left -= 1
            if self.left == -1:
                self.act()


def make_loop(path, runtime=SELDOM, make=batch, keep=2, rate=0.1):
    keras.utils.set_random_seed(7)
    model = NetworkTraining(Small(), auxiliary_weight=0.0)
    model.build((8, 4, 4, 3))
    model.compile(SGD(rate, momentum=0.9, global_clipnorm=1.0))
    validation = batches(10**5).take(3)
    work = Work(lambda first: batches(first, make), STEPS, EPOCHS, validation)
    return Loop(model, work, Checkpoints(path, keep), Records(path), runtime)


def go(loop, rows, *callbacks):
    with write_faults(loop.checkpoints):
        loop.restore()
        loop.run([*callbacks, Rows(rows)])


def end_state(loop):
    return [np.array(variable.numpy()) for variable in loop.variables]


def assert_same(loop, rows, whole):
    for one, other in zip(end_state(loop), whole[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert rows == whole[1]


def interrupt():
    os.kill(os.getpid(), signal.SIGTERM)


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "flip":
        content[len(content) // 3] ^= 1
    else:
        content = b""
    path.write_bytes(content)


def explodes_at(step):
    def make(number):
        x, y = batch(number)
        return tf.where(number == step, x * np.inf, x), y

    return make
