"""The loop of a run on a small network: stopped, crashed, short of disk, with broken states or an exploding loss."""

import errno
import os
import time

import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import RuntimeConfig
from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.loop.checkpoints import Checkpoints
from tests.small_loop import (
    OFTEN,
    STEPS,
    At,
    assert_same,
    batch,
    damage,
    end_state,
    explodes_at,
    go,
    interrupt,
    make_loop,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(variables, epochs' logs) of a run that nothing happens to."""
    rows = {}
    loop = make_loop(tmp_path_factory.mktemp("whole"))
    go(loop, rows)
    return end_state(loop), rows


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


@pytest.mark.parametrize("how", ["cut", "flip", "empty"])
def test_a_broken_state_is_named_and_the_one_before_it_used(how, tmp_path, whole, capsys):
    rows = {}
    with pytest.raises(Stopped):
        go(make_loop(tmp_path, OFTEN), rows, At(7, interrupt))
    before, newest = Checkpoints(tmp_path).saved()[-2:]
    damage(newest, how)
    loop = make_loop(tmp_path)
    assert loop.restore().step == 2
    assert (
        f"is broken: its content is not what was saved. Received: {newest}" in capsys.readouterr().out
        and before.exists()
        and not newest.exists()
    )
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
