"""Two thousand steps of a small search: memory, step time and the number of traces stay where they were."""

import csv
import os
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.epochs import Loop, Work
from dartsminus_tf.loop.records import Records
from dartsminus_tf.search.runner import build_search, run_search
from tests.conftest import TINY_SEARCH

STEPS = 2000


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.memory, self.times = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.memory.append(resident_bytes())
        self.times.append(time.monotonic())


@pytest.mark.slow
def test_mixed_precision_with_loss_scaling_does_not_diverge(tmp_path):
    small = ["space=mobilenet", "channels=8", "layers=6", "data.image_size=32", "data.batch_size=4"]
    rates = ["precision=mixed_float16", "weights.learning_rate=0.01", "epochs=4", f"steps_per_epoch={STEPS // 4}"]
    config = load_config(SearchConfig, overrides=[*TINY_SEARCH, *small, *rates, "data.train_limit=1000"])
    result = run_search(config, tmp_path)
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "metrics.csv").open(encoding="utf-8"))]
    print(f"float16: losses {losses}, validation accuracy {result['validation_accuracy']:.3f}")
    assert np.all(np.diff(losses) < 0) and losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_memory_time_and_traces_do_not_grow(tmp_path):
    config = load_config(SearchConfig, overrides=[*TINY_SEARCH, "runtime.save_minutes=0.05"])
    data = ImageData(config.data, 0)
    model = build_search(config, data)
    weights, alpha = data.halves(0.5)
    step, traces = model.train_step, []
    model.train_step = lambda batch: traces.append(1) or step(batch)
    batches = lambda first: tf.data.Dataset.zip(weights.from_step(first), alpha.from_step(first))  # noqa: E731
    work = Work(batches, STEPS // 20, 20, data.held_out(0.5), 1)
    loop, watch = Loop(model, work, Checkpoints(tmp_path), Records(tmp_path), config.runtime), Watch()
    loop.restore()
    loop.run([watch])
    assert len(watch.memory) == STEPS and len(traces) == 1
    growth = watch.memory[-1] / watch.memory[199] - 1
    first, last = (np.median(np.diff(watch.times[part])) for part in (slice(200, 600), slice(-400, None)))
    print(
        f"memory {watch.memory[199] / 2**20:.0f} MiB at step 200, growth {growth:.2%}; step {first:.4f} -> {last:.4f} s"
    )
    assert growth < 0.05
    assert last < 1.5 * first
