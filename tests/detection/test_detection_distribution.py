"""A detector on two devices, in a process of its own: its logical devices must exist before TensorFlow is used."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

CODE = """
import sys

sys.path[:0] = [sys.argv[3], sys.argv[4]]
from detection.cli.environment import prepare_environment

prepare_environment()
import numpy as np
import tensorflow as tf
import tf_keras
from official.core import task_factory
from tiny_config import tiny_config

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from detection.model import experiment, optimizer
from detection.model import task as _task
from detection.run import devices


strategy = None


def moves(frozen_level=None, multiplier=1.0, freeze_batch_norm=True):
    tree = tiny_config(sys.argv[1])
    tree["task"]["model"]["backbone"]["dartsminus"] |= {
        "frozen_level": frozen_level, "learning_rate_multiplier": multiplier, "freeze_batch_norm": freeze_batch_norm}
    tree["runtime"] = {"distribution_strategy": "mirrored"}
    tree["trainer"] = {"optimizer_config": {
        "optimizer": {"type": "sgd", "sgd": {}}, "warmup": {"type": None},
        "learning_rate": {"type": "constant", "constant": {"learning_rate": 0.2}}}}
    params = experiment.build_experiment(tree)
    params.task.train_data.override({
        "input_path": sys.argv[2] + "/train*.tfrecord", "shuffle_buffer_size": 1, "seed": 0, "global_batch_size": 4,
        "parser": {"aug_rand_hflip": False, "aug_scale_min": 1.0, "aug_scale_max": 1.0}})
    tf_keras.utils.set_random_seed(0)
    global strategy
    strategy = strategy or devices.make_strategy(params)
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        task = task_factory.get_task(params.task)
        model = task.build_model()
        steps = optimizer.build_optimizer(params, task, model)
    data = next(iter(strategy.experimental_distribute_dataset(task.build_inputs(params.task.train_data))))
    backbone = model.backbone
    before = [v.numpy() for v in backbone.trainable_weights]
    strategy.run(tf.function(lambda batch: task.train_step(batch, model, steps)), args=(data,))
    return backbone, [v.numpy() - b for v, b in zip(backbone.trainable_weights, before)]


backbone, plain = moves()
assert len(plain) == 10 and all(np.abs(m).max() > 0 for m in plain)
_, slow = moves(multiplier=0.1)
for a, b in zip(slow, plain):
    np.testing.assert_allclose(a, 0.1 * b, rtol=1e-3, atol=2e-7)
_, rest = moves(frozen_level=3)
assert len(rest) == 4 and all(np.abs(m).max() > 0 for m in rest)

backbone, _ = moves(freeze_batch_norm=False)
statistics = backbone.non_trainable_weights
parts = [[part.numpy() for part in v.values] for v in statistics]
assert any(not np.array_equal(a, b) for a, b in parts)  # each device has seen its own images
backbone.average_statistics()
for variable, (a, b) in zip(statistics, parts):
    for part in variable.values:
        np.testing.assert_allclose(part.numpy(), (a + b) / 2, rtol=1e-6)
print("fine")
"""


@pytest.mark.slow
def test_two_devices_train_freeze_and_slow_down_as_one_does(tiny_backbone, digit_records):
    arguments = [tiny_backbone, str(digit_records), str(HERE.parents[1]), str(HERE)]
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("fine")
