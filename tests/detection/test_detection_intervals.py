"""Loops of steps and evaluations of a detector end where they would have without an interruption."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from dartsminus_tf.foundation.disk.tables import MetricsTable
from dartsminus_tf.foundation.errors import UsageError
from detection.run.reporter import Reporter
from detection.run.training import train_and_evaluate


class Stop(Exception):
    pass


class Controller:
    """Notes what orbit's would do; ends at `stop` as a kill would, in the training or in the evaluation there."""

    def __init__(self, step, rows, stop=None, in_evaluation=False):
        self.step, self.rows, self.stop, self.in_evaluation = step, rows, stop, in_evaluation

    def train(self, steps, checkpoint_at_completion):
        assert not checkpoint_at_completion and steps > int(self.step.numpy())
        if self.stop is not None and not self.in_evaluation and steps > self.stop:
            self.step.assign(self.stop)
            raise Stop
        self.step.assign(steps)
        self.rows.append((steps, "train"))

    def evaluate(self, steps):
        assert steps == 7
        if self.in_evaluation and int(self.step.numpy()) == self.stop:
            raise Stop
        self.rows.append((int(self.step.numpy()), "validation"))

    def save_checkpoint(self):
        self.rows.append((int(self.step.numpy()), "saved"))


def go(step, rows, trainer, tmp_path, **kill):
    """One process; the table holds what was noted up to `step`."""
    path = tmp_path / "metrics.csv"
    MetricsTable(path, [{"step": s, "split": split} for s, split in rows if split != "saved"], "step").write()
    reporter = Reporter(SimpleNamespace(trainer=trainer), tmp_path, None, 0.5, None)
    reporter.begin(tf.Variable(step), None)
    variable = tf.Variable(step)
    train_and_evaluate(Controller(variable, rows, **kill), variable, trainer, reporter)


TRAINERS = [(100, 10, 40), (100, 30, 40), (100, 10, 0), (95, 10, 40), (40, 100, 40), (100, 7, 25)]
KILLS = [(13, False), (40, False), (40, True), (79, False), (80, True), (1, False), (25, True)]


@pytest.mark.parametrize("lengths", TRAINERS, ids=str)
@pytest.mark.parametrize(("stop", "in_evaluation"), KILLS)
def test_intervals_go_on_after_a_kill(lengths, stop, in_evaluation, tmp_path):
    names = ("train_steps", "steps_per_loop", "validation_interval")
    trainer = SimpleNamespace(**dict(zip(names, lengths, strict=True)), validation_steps=7)
    whole, rows = [], []
    go(0, whole, trainer, tmp_path)
    assert whole[-2:] == [(lengths[0], "validation"), (lengths[0], "saved")]
    try:
        go(0, rows, trainer, tmp_path, stop=stop, in_evaluation=in_evaluation)
    except Stop:
        go(stop, rows, trainer, tmp_path)
    # The final evaluation of a run that had come to its end is made again by the caller.
    ended = in_evaluation and stop == lengths[0]
    assert rows == [row for row in whole if not (ended and row == (stop, "validation"))]


def test_evaluations_by_hand(tmp_path):
    rows, trainer = [], SimpleNamespace(train_steps=25, steps_per_loop=10, validation_interval=20, validation_steps=7)
    go(13, rows, trainer, tmp_path)
    assert rows == [(20, "train"), (20, "validation"), (25, "train"), (25, "validation"), (25, "saved")]


@pytest.mark.parametrize("name", ["total_loss", "cls_loss", "box_loss", "model_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_validation_that_is_not_finite_is_a_fault(name, value, tmp_path):
    reporter = Reporter(SimpleNamespace(trainer=SimpleNamespace(train_steps=9)), tmp_path, None, 0.5, None)
    evaluation = SimpleNamespace(metrics={"ap": 0.5})
    reporter.begin(tf.Variable(3), SimpleNamespace(coco_metric=SimpleNamespace(last=evaluation)))
    with pytest.raises(UsageError, match=f"diverged; .*'{name}': {value}"):
        reporter.on_evaluation({"total_loss": 1.0} | {name: value})
    assert not reporter.has_validated(3)
