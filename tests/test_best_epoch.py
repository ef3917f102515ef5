"""Which epoch of a training counts and when it is over: by hand, and on a run of seconds that is interrupted."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.loop.records import Records
from dartsminus_tf.loop.reporting import METRICS, MetricsCsv
from dartsminus_tf.loop.state import read_state
from dartsminus_tf.train.selection import Patience, best_epoch, stopped_epoch, to_result
from tests.small_loop import At, batches, damage, end_state, go, interrupt, make_loop

SCORES = [0.25, 0.5, 0.5, 0.125, 0.75, 0.25, 0.25, 0.25]
EPOCHS = len(SCORES)
BEST, LAST = SimpleNamespace(exports_best=True), SimpleNamespace(exports_best=False)


def rows(scores):
    return [{"epoch": epoch, "val_accuracy": score} for epoch, score in enumerate(scores) if score is not None]


@pytest.mark.parametrize(
    ("scores", "patience", "stop"),
    [
        ([0.1, 0.2, 0.3], 1, None),
        ([0.1, 0.2, 0.2, 0.3], 1, 2),  # as good is no better
        ([0.1, 0.2, 0.2, 0.3], 2, None),
        ([0.5, 0.4, 0.4, 0.6, 0.6, 0.6, 0.6], 3, 3 + 3),
        ([0.5, None, None, 0.4, None, None, 0.3], 4, 6),  # validated in every third epoch
        ([0.5, 0.4, 0.3, 0.2], None, None),
        ([None, None], 1, None),
    ],
)
def test_a_training_is_over_after_so_many_epochs_without_a_better_one(scores, patience, stop):
    table = [{"epoch": 0, "loss": 1.0, "val_accuracy": ""}] if scores[0] is None else rows(scores)
    assert stopped_epoch(table, patience) == stop


def test_the_first_of_the_best_epochs_is_the_best():
    assert best_epoch(rows([0.1, 0.7, 0.7, 0.2])) == (1, 0.7) and best_epoch([]) is None


def scripted(path, epochs=EPOCHS):
    """A run whose validations come out as `SCORES`."""
    loop = make_loop(path / "states")
    loop.records = Records(path)
    loop.work = dataclasses.replace(loop.work, epochs=epochs)
    loop._validate = lambda: {"accuracy": SCORES[loop.position.epoch], "loss": 1.0}
    return loop


def trained(path, patience, *callbacks, epochs=EPOCHS):
    loop = scripted(path, epochs)
    loop.restore()
    metrics = MetricsCsv(loop.records, loop.work.epochs, quiet=True)
    patient = Patience(patience, metrics.table)
    if patient.stopped_epoch is None:
        loop.run([*callbacks, metrics, patient])
    return loop, metrics.table, patient


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Not interrupted: the best epoch is 4, and three epochs later it is over."""
    loop, table, patient = trained(tmp_path_factory.mktemp("whole"), 3)
    return loop, table.rows, patient.stopped_epoch, end_state(loop)


def without_seconds(table):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in table]


def test_patience_ends_the_training(whole):
    loop, table, stopped, _ = whole
    assert (stopped, len(table), loop.position.epoch, loop.position.step) == (7, 8, 8, 0)


@pytest.mark.parametrize("step", [7, 39])  # in epochs 1 and 7, whose end is the end
def test_an_interrupted_training_is_over_at_the_same_epoch(whole, step, tmp_path):
    with pytest.raises(Stopped):
        trained(tmp_path, 3, At(step, interrupt))
    loop, table, patient = trained(tmp_path, 3)
    assert (patient.stopped_epoch, without_seconds(table.rows)) == (whole[2], without_seconds(whole[1]))
    for one, other in zip(end_state(loop), whole[3], strict=True):
        np.testing.assert_array_equal(one, other)
    position = loop.position
    again, *_ = trained(tmp_path, 3)  # killed before the result was written: not one step more
    assert again.position == position


def test_the_best_epochs_state_is_the_result_or_the_last_ones(tmp_path):
    loop, table, _ = trained(tmp_path, None, epochs=6)
    last = end_state(loop)
    assert to_result(loop, LAST, table.rows) == 5
    assert all(np.array_equal(one, other) for one, other in zip(end_state(loop), last, strict=True))
    [state] = (tmp_path / "states").glob("epoch_0005_*.npz")
    assert to_result(loop, BEST, table.rows) == 4
    for one, other in zip(end_state(loop), read_state(state).values, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(not np.array_equal(one, other) for one, other in zip(end_state(loop), last, strict=True))


def test_a_lost_state_of_the_best_epoch_is_said(tmp_path, capsys):
    loop, table, _ = trained(tmp_path, None)
    [state] = (tmp_path / "states").glob("epoch_0005_*.npz")
    damage(state, "flip")
    again = scripted(tmp_path)
    again.restore()
    capsys.readouterr()
    assert to_result(again, BEST, table.rows) == 6
    said = "the state of the best epoch, 5, is lost or broken; the best one left is that of 7\n"
    assert capsys.readouterr().out == said


def test_a_stop_at_the_test_saves_nothing_and_the_test_begins_again(tmp_path):
    loop = make_loop(tmp_path)
    go(loop, {})
    states = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    expected = loop.test(batches(0).take(4))

    def stopping(labels):
        interrupt()
        return labels

    def noisy(x, y):
        return x, tf.ensure_shape(tf.numpy_function(stopping, [y], tf.int32), [8])

    with pytest.raises(Stopped, match="stopped at the test; saved .*epoch_0003_step_000000"):
        loop.test(batches(0).take(4).map(noisy))
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")} == states
    assert loop.test(batches(0).take(4)) == expected and set(expected) == {"loss", "accuracy", "top5_accuracy"}


def test_a_test_that_is_not_finite_is_refused(tmp_path):
    loop = make_loop(tmp_path)
    loop.restore()
    with pytest.raises(UsageError, match="The test must give finite values: .*'loss': (nan|inf)"):
        loop.test(batches(0).take(1).map(lambda x, y: (x * np.inf, y)))


def test_without_a_validation_no_epoch_is_evaluated(tmp_path):
    loop = make_loop(tmp_path)
    loop.work = dataclasses.replace(loop.work, validation=None)
    seen = {}
    go(loop, seen)
    assert not any(name.startswith("val_") for logs in seen.values() for name in logs)
    assert loop.checkpoints.best() == {} and loop.to_best() is None
    assert to_result(loop, BEST, []) == 2
    assert METRICS not in {path.name for path in tmp_path.iterdir()}
