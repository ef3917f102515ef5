"""`kill -9` at random moments of whole runs: what comes out is, bit for bit, what an undisturbed run gives."""

import csv
import json
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest

from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import load_config
from tests.conftest import TINY_SEARCH

SMALL = ["runtime.deterministic=true", "runtime.save_minutes=0.005", "runtime.verbose=0", "data.train_limit=256"]
SEARCH = [*TINY_SEARCH, *SMALL, "steps_per_epoch=16", "epochs=4", "space=s4", "skip_dropout=0.2"]
TRAIN = [
    *SMALL,
    *("data.image_size=16", "data.batch_size=8", "data.test_limit=32", "data.augment.cutout=4"),
    *("channels=4", "layers=3", "auxiliary_weight=0", "drop_path=0.3", "epochs=4"),
]


def run_in_child(kind: str, overrides: list[str], path: str) -> None:
    """A whole run, in a process that was forked from one that has imported TensorFlow and not used it."""
    from dartsminus_tf.runtime import configure

    configure(deterministic=True)
    if kind == "search":
        from dartsminus_tf.search.runner import run_search

        run_search(load_config(SearchConfig, overrides=overrides), path)
    else:
        from dartsminus_tf.train.runner import run_training

        run_training(load_config(TrainConfig, overrides=overrides), path)


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def last_state(path):
    newest = max((path / "checkpoints").glob("epoch_*.npz"))
    with np.load(newest) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "position"}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "overrides"), [("search", SEARCH), ("train", TRAIN)])
def test_twenty_kills_leave_no_trace(kind, overrides, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras", "tensorflow_datasets"])
    chance = random.Random(kind)

    def start(path):
        process = context.Process(target=run_in_child, args=(kind, overrides, str(path)))
        process.start()
        return process

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(whole)
    process.join()
    assert process.exitcode == 0
    kills = 0
    while kills < 20 and not (killed / "result.json").exists():
        process = start(killed)
        known = set((killed / "checkpoints").glob("*.npz"))
        # After a checkpoint more, so that the run is in its steps, and then a random while.
        while process.is_alive() and set((killed / "checkpoints").glob("*.npz")) <= known:
            time.sleep(0.01)
        process.join(chance.uniform(0.0, 0.5))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
    if not (killed / "result.json").exists():
        process = start(killed)
        process.join()
        assert process.exitcode == 0
    print(f"{kills} kills")
    assert kills >= 10
    assert rows(killed / "metrics.csv") == rows(whole / "metrics.csv")
    one, other = last_state(whole), last_state(killed)
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array)
    results = [json.loads((path / "result.json").read_text()) | {"seconds": 0} for path in (whole, killed)]
    assert results[0] == results[1]
    if kind == "search":
        assert rows(killed / "genotypes.csv") == rows(whole / "genotypes.csv")
