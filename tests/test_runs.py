"""Whole runs through the command lines' own functions: search, train, export; stopped, run twice, given wrong input."""

import errno
import json
import os
import subprocess
import sys

import pytest

from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.disk.digests import file_digest
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS
from dartsminus_tf.search.runner import run_search
from dartsminus_tf.train.runner import run_training
from tests.conftest import ROOT, TINY_SEARCH

TINY_TRAIN = [
    "data.image_size=32",
    "data.batch_size=16",
    "data.train_limit=64",
    "data.test_limit=32",
    "data.augment.cutout=4",
    "channels=4",
    "layers=3",
    "epochs=2",
    "drop_path=0.1",
    "runtime.verbose=0",
]


@pytest.fixture(scope="module")
def search_run(tiny_config, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "search"
    return path, run_search(tiny_config, path)


def test_search_leaves_what_it_promises(search_run, tiny_config):
    path, result = search_run
    assert json.loads((path / "result.json").read_text()) == result
    assert json.loads((path / "genotype.json").read_text()) == result["genotype"]
    rows = (path / "metrics.csv").read_text().splitlines()
    header = rows[0].split(",")
    assert len(rows) == 3 and {"epoch", "loss", "alpha_loss", "val_accuracy", "beta", "skip_share", "seconds"} <= set(
        header
    )
    assert [row.split(",")[header.index("beta")] for row in rows[1:]] == ["1.0", "0.5"]
    assert len((path / "genotypes.csv").read_text().splitlines()) == 3
    states = sorted(p.name[:22] for p in (path / "checkpoints").glob("*.npz"))
    assert states == ["epoch_0001_step_000000", "epoch_0002_step_000000"]
    assert list((path / "tensorboard").iterdir())


def test_a_finished_run_is_left_alone(search_run, tiny_config):
    path, result = search_run
    stamp = (path / "metrics.csv").stat().st_mtime_ns
    assert run_search(tiny_config, path) == result
    assert (path / "metrics.csv").stat().st_mtime_ns == stamp


def test_two_processes_cannot_share_a_directory(tiny_config, tmp_path):
    path = tmp_path / "run"
    with RunDirectory(path, tiny_config):
        code = (
            "from pathlib import Path; from dartsminus_tf.foundation.disk.lock import RunLock; "
            f"RunLock(Path('{path}')).acquire()"
        )
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"in use by process {os.getpid()} on" in other.stderr
        with pytest.raises(UsageError, match="in use by process"):
            run_search(tiny_config, path)
    with RunDirectory(path, tiny_config):
        assert (path / "config.yaml").exists()


def test_a_directory_that_cannot_be_written_to_is_refused(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(UsageError, match=r"Cannot write to model_dir \(Read-only file system\)"):
        RunDirectory(tmp_path / "run", tiny_config).open()


def test_a_directory_of_another_config_is_refused(search_run):
    path, _ = search_run
    before = (path / "config.yaml").read_text()
    other = load_config(SearchConfig, overrides=[*TINY_SEARCH, "weights.l2=0.5", "runtime.seed=3"])
    with pytest.raises(
        UsageError, match=r"another config \(it differs in runtime.seed \(0 -> 3\), weights.l2 \(0.0003 -> 0.5\)\)"
    ):
        run_search(other, path)
    assert (path / "config.yaml").read_text() == before


def test_a_foreign_directory_is_refused(tiny_config, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="must be a run directory"):
        RunDirectory(tmp_path, tiny_config)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_training_a_searched_cell(search_run, tmp_path):
    config = load_config(TrainConfig, overrides=[*TINY_TRAIN, f"genotype={search_run[0]}"])
    result = run_training(config, tmp_path / "train")
    assert result["genotype"] == search_run[1]["genotype"] and 0 <= result["test_accuracy"] <= 1
    network, again = load_trained(tmp_path / "train")
    assert again == result and network.built
    with pytest.raises(UsageError, match="run of train.py"):
        load_trained(search_run[0])
    weights = tmp_path / "train" / WEIGHTS
    assert result["digests"][WEIGHTS] == file_digest(weights)
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(UsageError, match="delete result.json and give the command of the training again"):
        load_trained(tmp_path / "train")
    (tmp_path / "train" / "result.json").unlink()  # as it says
    again = run_training(config, tmp_path / "train")
    assert again | {"seconds": 0} == result | {"seconds": 0} == load_trained(tmp_path / "train")[1] | {"seconds": 0}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("genotype=nothing", "published name"),
        ('genotype={"normal": []}', "exactly the keys"),
        ("data.name=no_such_set_9", "Unknown data set"),
        ("data.image_size=30", "multiple of 4"),
        ("data.batch_size=1000", "batch_size must not exceed"),
    ],
)
def test_wrong_training_writes_nothing(override, message, tmp_path):
    config = load_config(TrainConfig, overrides=[*TINY_TRAIN, override])
    with pytest.raises(UsageError, match=message):
        run_training(config, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def command(tool, *arguments):
    process = subprocess.run(
        [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *arguments], capture_output=True, text=True, check=False
    )
    return process.returncode, process.stderr.strip().splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--params_override=bogus=1"], "Unknown config key 'bogus'"),
        (["search", "--params_override=space=s99"], "Unknown space"),
        (["search", "--config_file=absent.yaml"], "Cannot read config file"),
        (["search", "--no_such_flag=1"], "no_such_flag"),
        (["search", "stray"], "Received: stray"),
        (["train", "--params_override=epochs=-1"], "epochs"),
        (["export", "--model_dir=/nonexistent"], "must be a training run"),
    ],
)
def test_wrong_commands_print_one_line_and_exit_2(arguments, message, tmp_path):
    tool, *flags = arguments
    if tool != "export":
        flags.append(f"--model_dir={tmp_path / 'run'}")
    code, lines = command(tool, *flags)
    assert code == 2 and len(lines) == 1 and message in lines[0], lines
    assert not (tmp_path / "run").exists()


def test_a_run_from_before_a_key_existed_goes_on(search_run, tiny_config):
    """The stored config then lacks the key; its default is what the run had."""
    path, result = search_run
    stored = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(stored.replace("partial_channels: 1\n", ""))
    assert run_search(tiny_config, path) == result
    (path / "config.yaml").write_text("- damaged")
    with pytest.raises(UsageError, match="keys and values"):
        RunDirectory(path, tiny_config)
    (path / "config.yaml").write_text(stored)
