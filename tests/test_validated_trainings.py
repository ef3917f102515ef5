"""Whole trainings: what is chosen sees the validation alone, the test is read once, older runs go on as they began."""

import dataclasses
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from dartsminus_tf.config import TrainConfig
from dartsminus_tf.data import labels, sources
from dartsminus_tf.data.digits import digits_source
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.data.source import Split
from dartsminus_tf.foundation.config.typed import dump_config, load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT, TrainResult
from dartsminus_tf.loop import epochs
from dartsminus_tf.loop.epochs import Loop
from dartsminus_tf.loop.records import read_tables
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS
from dartsminus_tf.train.begun import as_begun
from dartsminus_tf.train.runner import run_training
from tests.conftest import ROOT

TINY = [
    "genotype='|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|'",
    *("channels=2", "layers=1", "auxiliary_weight=0", "drop_path=0", "epochs=4", "ema_decay=0.5"),
    *("data.image_size=8", "data.batch_size=16", "data.train_limit=320", "data.test_limit=64"),
    *("data.augment.cutout=0", "weights.learning_rate=0.2", "runtime.verbose=0"),
]


def config(*overrides):
    return load_config(TrainConfig, overrides=[*TINY, *overrides])


@pytest.fixture(scope="module", autouse=True)
def second_epoch_is_best():
    """The accuracies are what is measured, times a number that makes that of the second epoch the best."""
    real = Loop._validate

    def validate(loop):
        measured = real(loop)
        return measured | {"accuracy": measured["accuracy"] * (1.0 if loop.position.epoch == 1 else 0.1)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_validate", validate)
        yield


@pytest.fixture(scope="module")
def evaluated():
    """The places where anything was evaluated."""
    return []


@pytest.fixture(scope="module")
def trained(tmp_path_factory, evaluated):
    """A run that validates on a tenth of its training set: its directory and its result."""
    path = tmp_path_factory.mktemp("trained") / "run"
    real = epochs.evaluate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, "evaluate", lambda *args: evaluated.append(args[2]) or real(*args))
        return path, run_training(config(), path)


def rows_of(path):
    rows = read_tables(path)["metrics.csv"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def loss_of(path):
    """The loss of the weights that a training left on what validated it."""
    network, _ = load_trained(path)
    [*batches] = ImageData(config().data, 0).validation()
    entropies = [
        keras.losses.sparse_categorical_crossentropy(y, network(x, training=False), from_logits=True)
        for x, y in batches
    ]
    return float(np.mean(np.concatenate(entropies)))


def test_the_best_epoch_of_the_validation_is_the_result(trained, evaluated):
    path, result = trained
    accuracies = [row["val_accuracy"] for row in rows_of(path)]
    best = int(np.argmax(accuracies))
    assert best == 1
    assert (result["epoch"], result["validation_accuracy"], result["stopped_epoch"]) == (best, accuracies[best], None)
    assert json.loads((path / "checkpoints" / "best.json").read_text())["epoch"] == best
    losses = [row["val_loss"] for row in rows_of(path)]
    assert loss_of(path) == pytest.approx(losses[best], abs=1e-5)  # of the averages, which were validated
    assert all(abs(loss - losses[best]) > 1e-4 for loss in losses[:best] + losses[best + 1 :])
    assert evaluated == [*(f"the validation of epoch {epoch}" for epoch in (1, 2, 3, 4)), "the test"]
    assert load_trained(path)[1] == result
    TrainResult.model_validate(result)


def test_labels_of_the_test_change_its_figures_alone(trained, tmp_path, monkeypatch):
    def permuted(data):
        source = digits_source(data)
        images, digits = zip(*source.test.stream().as_numpy_iterator(), strict=True)
        arrays = np.stack(images), np.roll(np.array(digits), 7)
        test = Split(len(digits), lambda: tf.data.Dataset.from_tensor_slices(arrays))
        return dataclasses.replace(source, test=test)

    monkeypatch.setitem(sources.SOURCES, "digits", permuted)
    path, result = trained
    other = run_training(config(), tmp_path / "run")
    assert rows_of(tmp_path / "run") == rows_of(path)
    assert other["digests"][WEIGHTS] == result["digests"][WEIGHTS]
    differing = {name for name in result if result[name] != other[name]} - {"seconds", "digests"}
    assert differing and differing <= {"test_accuracy", "test_top5_accuracy", "test_loss"}


def test_patience_and_the_last_epoch(trained, tmp_path):
    path, result = trained
    before = rows_of(path)
    last = run_training(config("patience=1", "export=last"), tmp_path / "run")
    after = rows_of(tmp_path / "run")
    assert (last["stopped_epoch"], last["epoch"]) == (2, 2) and after == before[:3]
    assert last["validation_accuracy"] == after[2]["val_accuracy"]
    assert last["digests"][WEIGHTS] != result["digests"][WEIGHTS]
    (tmp_path / "run" / RESULT).unlink()  # killed before it was written: not one epoch more
    again = run_training(config("patience=1", "export=last"), tmp_path / "run")
    assert again | {"seconds": 0} == last | {"seconds": 0} and rows_of(tmp_path / "run") == after


def test_without_a_validation_the_last_epoch_counts(tmp_path, monkeypatch):
    seen, real = [], epochs.evaluate
    monkeypatch.setattr(epochs, "evaluate", lambda *args: seen.append(args[2]) or real(*args))
    result = run_training(config("data.validation=none", "epochs=2"), tmp_path / "run")
    assert (result["epoch"], result["validation_accuracy"], seen) == (1, None, ["the test"])
    assert not any(name.startswith("val_") for row in rows_of(tmp_path / "run") for name in row)
    assert not (tmp_path / "run" / "checkpoints" / "best.json").exists()


def test_a_run_goes_on_with_the_same_part_alone(trained, monkeypatch):
    path, result = trained
    assert "validation" in json.loads((path / "data.json").read_text())
    (path / RESULT).rename(path / "kept")
    monkeypatch.setattr(labels, "SPLIT_SEED", 1)
    with pytest.raises(UsageError, match=r"began with other data \(validation: '32 training examples"):
        run_training(config(), path)
    (path / "kept").rename(path / RESULT)
    assert run_training(config(), path) == result  # it is finished


def older_run(path):
    """A directory whose settings were stored before there was a validation."""
    path.mkdir()
    settings = yaml.safe_load(dump_config(config()))
    del settings["data"]["validation"], settings["patience"], settings["export"], settings["class_weight"]
    (path / "config.yaml").write_text(yaml.safe_dump(settings))
    return path


def test_an_older_run_goes_on_as_it_began(tmp_path):
    path = older_run(tmp_path / "run")
    begun = as_begun(config(), path)
    assert as_begun(config("data.validation=none"), path) == begun and begun.data.validation == "test"
    result = run_training(config("data.validation=none"), path)
    assert yaml.safe_load((path / "config.yaml").read_text())["data"]["validation"] == "test"
    assert as_begun(config(), path) == as_begun(config("data.validation=none"), path) == begun
    last = rows_of(path)[-1]
    assert result["test_accuracy"] == last["val_accuracy"] and result["test_loss"] == last["val_loss"]
    assert (result["epoch"], result["validation_accuracy"]) == (3, None)


@pytest.mark.parametrize("override", ["data.validation=0.2", "patience=3", "class_weight=balanced", "export=best"])
def test_an_older_run_is_refused_what_it_did_not_have(override, tmp_path):
    path = older_run(tmp_path / "run")
    with pytest.raises(UsageError, match=f"another config .it differs in {re.escape(override.split('=')[0])}"):
        run_training(config(override), path)


def test_a_new_run_is_refused_the_validation_of_older_ones(tmp_path):
    asked = config()
    asked = asked.model_copy(update={"data": asked.data.model_copy(update={"validation": "test"})})
    with pytest.raises(UsageError, match="a new one takes auto, a fraction or none"):
        as_begun(asked, tmp_path / "run")


def test_the_papers_recipes_have_no_validation_and_say_so():
    for path in (ROOT / "configs").glob("train_*.yaml"):
        read = load_config(TrainConfig, [str(path)])
        header = " ".join(line for line in path.read_text().splitlines() if line.startswith("#"))
        assert (read.data.validation, read.exports_best) == ("none", False) and "last epoch" in header
