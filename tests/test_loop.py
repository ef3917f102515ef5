"""The loop of a run on a small network: stopped, crashed, short of disk, with broken states or an exploding loss."""

import errno
import os
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import RuntimeConfig
from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.loop.checkpoints import Checkpoints, Position
from dartsminus_tf.loop.epochs import Loop, Work
from dartsminus_tf.loop.faults import write_faults
from dartsminus_tf.loop.optimizers import SGD
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
    return Loop(
        model, Work(lambda first: batches(first, make), STEPS, EPOCHS, validation), Checkpoints(path, keep), runtime
    )


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(variables, epochs' logs) of a run that nothing happens to."""
    rows = {}
    loop = make_loop(tmp_path_factory.mktemp("whole"))
    go(loop, rows)
    return end_state(loop), rows


def interrupt():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("steps", [(0,), (2, 0, 1), (4,), (6, 3), (14,)])
def test_a_stop_after_any_step_leaves_no_trace(steps, tmp_path, whole, capsys):
    rows = {}
    for step in steps:
        with pytest.raises(Stopped, match=r"stopped at epoch \d, step \d; saved .*npz"):
            go(make_loop(tmp_path), rows, At(step, interrupt))
    assert "stopping after this step" in capsys.readouterr().err
    loop = make_loop(tmp_path)
    go(loop, rows)
    assert_same(loop, rows, whole)


def test_a_stop_during_validation(tmp_path, whole):
    """The signal is seen at the first validation batch; the epoch's training is not done again."""
    rows, loop = {}, make_loop(tmp_path)
    reset = loop.model.reset_metrics

    def interrupt_and_reset():
        if loop.position.step == STEPS:
            interrupt()
        reset()

    loop.model.reset_metrics = interrupt_and_reset
    with pytest.raises(Stopped, match=f"epoch 1, step {STEPS}"):
        go(loop, rows)
    loop = make_loop(tmp_path)
    assert loop.restore().step == STEPS
    go(loop, rows)
    assert_same(loop, rows, whole)


def test_a_stop_while_a_state_is_saved(tmp_path, whole):
    """The signal is seen after the next step."""
    rows, loop = {}, make_loop(tmp_path, OFTEN)
    save = loop.checkpoints.save

    def interrupt_and_save(position, *arguments):
        if (position.epoch, position.step) == (1, 2):
            interrupt()
        return save(position, *arguments)

    loop.checkpoints.save = interrupt_and_save
    with pytest.raises(Stopped, match="stopped at epoch 2, step 3"):
        go(loop, rows)
    loop = make_loop(tmp_path)
    go(loop, rows)
    assert_same(loop, rows, whole)


class Crash(Exception):
    pass


def crash():
    raise Crash


def test_crashes_cost_what_was_not_saved(tmp_path, whole):
    rows = {}
    for step in (3, 0, 2, 1, 4, 3):
        with pytest.raises(Crash):
            go(make_loop(tmp_path, OFTEN), rows, At(step, crash))
    loop = make_loop(tmp_path)
    assert loop.restore().epoch == 2
    go(loop, rows)
    assert_same(loop, rows, whole)


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "flip":
        content[len(content) // 3] ^= 1
    else:
        content = b""
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "flip", "empty"])
def test_a_broken_state_is_named_and_the_one_before_it_used(how, tmp_path, whole, capsys):
    rows = {}
    with pytest.raises(Stopped):
        go(make_loop(tmp_path, OFTEN), rows, At(7, interrupt))
    before, newest = Checkpoints(tmp_path).saved()[-2:]
    damage(newest, how)
    loop = make_loop(tmp_path)
    assert loop.restore().step == 2
    assert f"{newest} is broken" in capsys.readouterr().out and before.exists() and not newest.exists()
    go(loop, rows)
    assert_same(loop, rows, whole)


def test_no_whole_state_is_no_silent_new_start(tmp_path):
    go(make_loop(tmp_path), {})
    for path in Checkpoints(tmp_path).saved():
        damage(path, "flip")
    with pytest.raises(UsageError, match="No checkpoint is whole: delete the directory"):
        make_loop(tmp_path).restore()


def test_a_state_of_another_model_is_refused(tmp_path):
    go(make_loop(tmp_path), {})
    variables = make_loop(tmp_path).variables
    with pytest.raises(UsageError, match="another model"):
        Checkpoints(tmp_path).restore(variables[:-1])


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints, variables = Checkpoints(tmp_path, keep=2), [keras.Variable(1.0)]
    for epoch, score in enumerate([0.1, 0.9, 0.3, None, 0.5], start=1):
        checkpoints.save(Position(epoch), variables, score)
    assert [path.name[:10] for path in checkpoints.saved()] == ["epoch_0002", "epoch_0004", "epoch_0005"]
    assert checkpoints.best() | {"checkpoint": ""} == {"checkpoint": "", "epoch": 1, "score": 0.9}
    (tmp_path / "best.json").write_text("{")
    assert checkpoints.best() == {}


def test_a_full_disk_ends_the_run_with_a_line_and_spares_what_is_there(tmp_path, whole, monkeypatch):
    rows, full = {}, []
    flush = os.fsync

    def fsync(file):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UsageError, match=r"Cannot write .*No space left.*goes on from epoch_0001_step_000000"):
        go(make_loop(tmp_path), rows, At(6, lambda: full.append(1)))
    assert [path.name[:10] for path in Checkpoints(tmp_path).saved()] == ["epoch_0000", "epoch_0001"]
    assert not list(tmp_path.glob(".*"))
    full.clear()
    loop = make_loop(tmp_path)
    go(loop, rows)
    assert_same(loop, rows, whole)


def test_the_clock_may_jump(tmp_path, whole, monkeypatch):
    jumps = iter([10**9, -(10**9), 0.0] * 1000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    rows, loop = {}, make_loop(tmp_path)
    go(loop, rows)
    assert_same(loop, rows, whole)
    assert len(Checkpoints(tmp_path).saved()) == 2


def test_a_file_that_vanishes_in_mid_epoch(tmp_path, whole):
    file, rows = tmp_path / "image", {}
    file.write_text("x")

    def reads(step):
        tf.io.read_file(str(file))
        with tf.control_dependencies([tf.io.read_file(str(file))]):
            return batch(step)

    with pytest.raises(UsageError, match=r"cannot be read at epoch 2, step \d: .*goes on from there.*image"):
        go(make_loop(tmp_path / "run", make=reads), rows, At(6, file.unlink))
    file.write_text("x")
    loop = make_loop(tmp_path / "run", make=reads)
    assert loop.restore().epoch == 1 and loop.restore().step >= 2
    go(loop, rows)
    assert_same(loop, rows, whole)


def explodes_at(step):
    def make(number):
        x, y = batch(number)
        return tf.where(number == step, x * np.inf, x), y

    return make


def test_a_loss_that_is_not_finite_stops_the_run_and_says_all(tmp_path):
    message = (
        r"Not finite at epoch 2, step 3: loss nan \(sgd rate 0\.1, largest gradient norm (nan|inf) of .*\)\. "
        r"The last good checkpoint is .*epoch_0001_step_000000.*npz: lower the learning rates"
    )
    with pytest.raises(UsageError, match=message):
        go(make_loop(tmp_path, make=explodes_at(7)), {})


def test_step_back_halves_the_rates_and_goes_on(tmp_path, capsys):
    """The loss is not finite as long as the rate is at least 0.05."""
    runtime = RuntimeConfig(verbose=0, on_nonfinite="step_back")
    loop, rows = make_loop(tmp_path, runtime), {}
    step = loop.model.train_step

    def train_step(data):
        logs = step(data)
        optimizer = loop.model.optimizer
        hot = optimizer.learning_rate * optimizer.rate_scale >= 0.05
        bad = tf.logical_and(tf.equal(optimizer.iterations, 8), hot)
        return logs | {"loss": tf.where(bad, np.nan, logs["loss"])}

    loop.model.train_step = train_step
    go(loop, rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "going on from epoch 2, step 0 with 0.5 of its" in lines[0] and "0.25" in lines[1]
    assert loop.model.optimizer.effective_rate == pytest.approx(0.025)
    assert sorted(rows) == [0, 1, 2]


def test_stepping_back_has_an_end(tmp_path):
    runtime = RuntimeConfig(verbose=0, on_nonfinite="step_back")
    with pytest.raises(UsageError, match="halving the rates 5 times from there did not help"):
        go(make_loop(tmp_path, runtime, make=explodes_at(7)), {})


def test_one_step_is_traced_once(tmp_path):
    loop, traces = make_loop(tmp_path, OFTEN), []
    step = loop.model.train_step
    loop.model.train_step = lambda data: traces.append(1) or step(data)
    go(loop, {})
    assert len(traces) == 1
