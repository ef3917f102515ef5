"""States that are broken or poisoned, the best of them, and the tables that they keep."""

import csv
import hashlib
import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import RuntimeConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.states import BrokenState, Position, read_state
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.records import mend_tables, read_tables, rows_of
from dartsminus_tf.loop.reporting import MetricsCsv
from dartsminus_tf.loop.state import NotFinite, load_state
from tests.small_loop import EPOCHS, OFTEN, STEPS, At, damage, explodes_at, go, make_loop

STEP_BACK = RuntimeConfig(verbose=0, on_nonfinite="step_back")
ONE = [keras.Variable(1.0)]


def names(directory):
    return [path.name[:10] for path in Checkpoints(directory).saved()]


# The best


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for epoch, score in enumerate([0.1, 0.9, 0.3, None, 0.5], start=1):
        checkpoints.save(Position(epoch), ONE, score)
    assert names(tmp_path) == ["epoch_0002", "epoch_0004", "epoch_0005"]
    assert checkpoints.best() | {"checkpoint": ""} == {"checkpoint": "", "epoch": 1, "score": 0.9}
    assert json.loads((tmp_path / "best.json").read_text()) == checkpoints.best()


@pytest.mark.parametrize(
    "content", ["{", "", "[]", '{"checkpoint": 3}', "gone", '{"checkpoint":"x","epoch":0,"score":9}']
)
def test_a_damaged_best_json_is_made_again(content, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    for epoch, score in enumerate([0.9, 0.3, 0.5], start=1):
        checkpoints.save(Position(epoch), ONE, score)
    best, path = checkpoints.best(), tmp_path / "best.json"
    path.unlink() if content == "gone" else path.write_text(content)
    Checkpoints(tmp_path, keep=1).save(Position(4), ONE, 0.7)
    assert names(tmp_path) == ["epoch_0001", "epoch_0004"]
    assert json.loads(path.read_text()) == best and best["score"] == 0.9


@pytest.mark.parametrize("how", ["cut", "flip", "empty"])
def test_the_best_state_is_never_a_broken_one(how, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for epoch, score in enumerate([0.9, 0.3, 0.5], start=1):
        checkpoints.save(Position(epoch), ONE, score)
    damage(tmp_path / checkpoints.best()["checkpoint"], how)
    assert Checkpoints(tmp_path).best()["score"] == 0.5


# Poison


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["variable", "array", "float16", "one of many"])
def test_a_state_that_is_not_finite_is_not_written(value, kind, tmp_path):
    poisoned = {
        "variable": keras.Variable(value, name="w"),
        "array": np.array([[value]]),
        "float16": np.array(value, np.float16),
        "one of many": np.array([0.0] * 99 + [value], np.float32),
    }[kind]
    with pytest.raises(NotFinite, match=r"1 of (1|100) values of (w|array 1)"):
        Checkpoints(tmp_path).save(Position(1), [*ONE, poisoned])
    assert list(tmp_path.iterdir()) == []
    Checkpoints(tmp_path).save(Position(1), [np.array(2**31), np.array(True), np.array(1e38, np.float32)])


def write_state(directory, epoch, values, **about):
    """As an older version wrote it: without score and tables, and whatever the values were."""
    content = io.BytesIO()
    position = json.dumps({"epoch": epoch, "step": 0, "seconds": 0.0} | about)
    np.savez(content, position=np.array(position), **{str(i): value for i, value in enumerate(values)})
    digest = hashlib.sha256(content.getvalue()).hexdigest()[:16]
    path = directory / f"epoch_{epoch:04d}_step_000000.{digest}.npz"
    path.write_bytes(content.getvalue())
    return path


def test_an_older_poisoned_state_is_passed_over(tmp_path, capsys):
    write_state(tmp_path, 1, [np.float32(5)])
    bad = [write_state(tmp_path, epoch, [np.float32(np.nan)]) for epoch in (2, 3)]
    variable = keras.Variable(0.0)
    assert Checkpoints(tmp_path).restore([variable]).position == Position(1)
    assert float(variable) == 5 and capsys.readouterr().out.count("not finite") == 2
    assert not any(path.exists() for path in bad) and names(tmp_path) == ["epoch_0001"]
    assert Checkpoints(tmp_path).save(Position(2), ONE, 0.5).name == Checkpoints(tmp_path).best()["checkpoint"]


def test_a_state_of_another_version_is_not_called_broken(tmp_path):
    path = write_state(tmp_path, 1, [np.float32(5)], unknown=1)
    with pytest.raises(UsageError, match="another version"):
        Checkpoints(tmp_path).restore(ONE)
    assert path.exists()
    path.write_bytes(b"")
    with pytest.raises(BrokenState, match="not what was saved"):
        load_state(path, ONE)
    with pytest.raises(BrokenState, match="No such file"):
        read_state(path.with_name(path.name.replace("0001", "0009")))


def poison(loop, step):
    """From `step` on (over all epochs) a weight is NaN, and the losses that are told do not show it."""
    train_step, kernel = loop.model.train_step, loop.model.network.classifier.kernel

    def poisoned(data):
        logs = train_step(data)
        bad = tf.equal(loop.model.optimizer.iterations, step + 1)
        kernel.assign(tf.where(bad, np.nan, tf.convert_to_tensor(kernel)))
        return {name: tf.where(tf.math.is_finite(value), value, 1.0) for name, value in logs.items()}

    loop.model.train_step = poisoned


@pytest.mark.parametrize("step", [2, 4, 7, 9, 14])
def test_a_finite_loss_with_poisoned_variables_saves_nothing(step, tmp_path):
    loop = make_loop(tmp_path)
    poison(loop, step)
    with pytest.raises(UsageError, match=r"Not finite at (epoch|the validation of epoch) .*last good checkpoint is"):
        go(loop, {})
    assert names(tmp_path)[-1] == f"epoch_000{step // STEPS}"
    for path in Checkpoints(tmp_path).saved():
        assert all(np.isfinite(value).all() for value in read_state(path).values)


def test_a_poisoned_state_between_two_saves(tmp_path):
    loop = make_loop(tmp_path, OFTEN)
    poison(loop, 6)
    with pytest.raises(UsageError, match=r"Not finite at epoch 2, step 2: \d+ of \d+ values of .*kernel .*step_000001"):
        go(loop, {})


def bad_validation(loop, times, epoch=1):
    """The validation of `epoch` gives NaN so many times."""
    validate, left = loop._validate, [times]

    def bad():
        values = validate()
        if loop.position.epoch == epoch and left[0]:
            left[0] -= 1
            values["loss"] = np.nan
        return values

    loop._validate = bad


def test_a_validation_that_is_not_finite_is_a_fault(tmp_path):
    loop = make_loop(tmp_path)
    bad_validation(loop, 1)
    with pytest.raises(UsageError, match="Not finite at the validation of epoch 2: val_loss nan"):
        go(loop, {})
    assert names(tmp_path) == ["epoch_0000", "epoch_0001"]


def test_step_back_leaves_a_state_with_validation_alone_after_it(tmp_path, capsys):
    """Halving the rates from there would change nothing."""
    loop, rows = make_loop(tmp_path, RuntimeConfig(verbose=0, save_minutes=1e-9, on_nonfinite="step_back")), {}
    bad_validation(loop, 1)
    go(loop, rows)
    assert f"going on from epoch 2, step {STEPS - 1} with 0.5" in capsys.readouterr().out
    assert sorted(rows) == [0, 1, 2] and np.isfinite(rows[1]["val_loss"])
    assert len(list(tmp_path.glob("*.broken"))) == 1


def test_step_back_falls_through_to_older_states(tmp_path, capsys):
    """The validation of epoch 2 fails six times: five times from one state, once from the one before it."""
    loop, rows = make_loop(tmp_path, STEP_BACK), {}
    bad_validation(loop, 6)
    go(loop, rows)
    lines = [line for line in capsys.readouterr().out.splitlines() if "going on from" in line]
    assert [line.split("going on from ")[1].split(" with")[0] for line in lines] == ["epoch 2, step 0"] * 5 + [
        "epoch 1, step 0"
    ]
    assert sorted(rows) == [0, 1, 2]


def test_stepping_back_keeps_the_last_state(tmp_path):
    with pytest.raises(UsageError, match="5 times from there did not help"):
        go(make_loop(tmp_path, STEP_BACK, make=explodes_at(7)), {})
    assert names(tmp_path) == ["epoch_0000", "epoch_0001"]


# Tables


def run(directory, *callbacks):
    loop = make_loop(directory)
    loop.restore()
    metrics = MetricsCsv(loop.records, EPOCHS, quiet=True)
    loop.run([*callbacks, metrics])
    return metrics.table.rows


def text(directory):
    return (directory / "metrics.csv").read_text()


def replace_text(path, edited):
    path.unlink() if edited is None else path.write_text(edited)


def without(rows, column="seconds"):
    return [{name: value for name, value in row.items() if name != column} for row in rows]


class Crash(Exception):
    pass


def crash():
    raise Crash


EDITS = {
    "gone": lambda text: None,
    "empty": lambda text: "",
    "a row lost": lambda text: text.split("\n")[0] + "\n",
    "edited": lambda text: text.replace("0,0.", "0,1."),
    "half a row": lambda text: text[:-20],
    "a row twice": lambda text: text + text.split("\n")[1] + "\n",
    "another table": lambda text: "a,b\n1,2\n",
    "no text": lambda text: "\0\ufffd",
}


@pytest.mark.parametrize("edit", EDITS)
def test_tables_come_from_the_state(edit, tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(Crash):
        run(tmp_path / "run", At(2 * STEPS + 1, crash))
    before = text(tmp_path / "run")
    edited = EDITS[edit](before)
    assert edited != before and before.count("\n") == 3
    replace_text(tmp_path / "run" / "metrics.csv", edited)
    loop = make_loop(tmp_path / "run")
    loop.restore()
    assert text(tmp_path / "run") == before
    rows = run(tmp_path / "run")
    assert without(rows) == without(whole)
    assert without(csv.DictReader(io.StringIO(text(tmp_path / "run")))) == without(
        csv.DictReader(io.StringIO(text(tmp_path / "whole")))
    )


@pytest.mark.parametrize("edit", EDITS)
def test_tables_of_a_finished_run_are_made_again(edit, tmp_path):
    run(tmp_path / "run" / "checkpoints")
    state = Checkpoints(tmp_path / "run" / "checkpoints").newest()
    table = tmp_path / "run" / "metrics.csv"
    mend_tables(tmp_path / "run")
    before = table.read_text()
    assert before.count("\n") == EPOCHS + 1
    edited = EDITS[edit](before)
    replace_text(table, edited)
    assert rows_of(read_tables(tmp_path / "run"), tmp_path / "run", "metrics.csv") == state.tables["metrics.csv"]
    mend_tables(tmp_path / "run")
    assert table.read_text() == before


def test_a_step_back_takes_the_tables_back_too(tmp_path):
    loop = make_loop(tmp_path, STEP_BACK)
    loop.restore()
    bad_validation(loop, 6)
    metrics, seen = MetricsCsv(loop.records, EPOCHS, quiet=True), []
    begin = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append((epoch, len(metrics.table.rows)))
    )
    loop.run([begin, metrics])
    assert seen == [(0, 0), *[(1, 1)] * 6, (0, 0), (1, 1), (2, 2)]
    assert [row["epoch"] for row in metrics.table.rows] == [0, 1, 2]
    assert [row["epoch"] for row in csv.DictReader(io.StringIO(text(tmp_path)))] == ["0", "1", "2"]


def test_states_without_tables_take_them_from_the_file(tmp_path):
    """Those of older versions; a lost epoch is named when it is asked for."""
    with pytest.raises(Crash):
        run(tmp_path, At(2 * STEPS, crash))
    newest = Checkpoints(tmp_path).saved()[-1]
    state = read_state(newest)
    newest.unlink()
    write_state(tmp_path, state.position.epoch, state.values)
    (tmp_path / "metrics.csv").write_text(text(tmp_path).replace("\n1,", "\nx,"))
    rows = run(tmp_path)
    assert [int(row["epoch"]) for row in rows] == [0, 2]
    loop = make_loop(tmp_path)
    loop.restore()
    with pytest.raises(UsageError, match=r"lost the row of epoch 1: .*metrics\.csv"):
        loop.records.table("metrics.csv").row(1)
    assert loop.records.table("metrics.csv").row(2)["epoch"] == 2
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "metrics.csv").write_text("epoch,loss\n0,1\n2,1\n")
    with pytest.raises(UsageError, match="has lost epochs"):
        rows_of(None, tmp_path / "b", "metrics.csv")
