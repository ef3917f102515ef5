"""Detection runs that are stopped, killed, broken on the disk, or started twice."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import yaml
from tiny_config import tiny_config

from dartsminus_tf.foundation.disk.lock import RunLock
from dartsminus_tf.foundation.errors import UsageError
from detection.run import interruption
from tests.detection.conftest import REPOSITORY


def checkpoints(folder):
    variable = tf.Variable(tf.random.stateless_normal([1000], [1, 2]))
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(v=variable), str(folder), max_to_keep=5)
    for step in (1, 2, 10):
        variable.assign_add(tf.ones([1000]))
        manager.save(step)
    return variable, manager


def flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["flip", "cut", "index"])
def test_a_broken_checkpoint_is_named_and_the_one_before_it_used(how, tmp_path):
    variable, manager = checkpoints(tmp_path)
    data = tmp_path / "ckpt-10.data-00000-of-00001"
    if how == "flip":
        flip(data)
    elif how == "cut":
        data.write_bytes(data.read_bytes()[:1000])
    else:
        (tmp_path / "ckpt-10.index").write_bytes(b"")
    lines = []
    interruption.drop_broken_checkpoints(str(tmp_path), lines.append)
    assert len(lines) == 1 and "ckpt-10 is broken" in lines[0]
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("ckpt-2")
    newest = variable.numpy()
    manager.checkpoint.restore(tf.train.latest_checkpoint(str(tmp_path)))
    np.testing.assert_allclose(variable.numpy(), newest - 1, atol=1e-6)


def test_no_whole_checkpoint_is_no_silent_new_start(tmp_path):
    checkpoints(tmp_path)
    for path in tmp_path.glob("*.data*"):
        flip(path)
    with pytest.raises(UsageError, match="no checkpoint is whole"):
        interruption.drop_broken_checkpoints(str(tmp_path), lambda line: None)


def test_one_process_at_a_time(tmp_path):
    holder = f"in use by process {os.getpid()} on"
    with RunLock(tmp_path), pytest.raises(UsageError, match=holder):
        RunLock(tmp_path).acquire()
    with RunLock(tmp_path):
        pass


def start(config, model_dir, *overrides):
    command = [sys.executable, str(REPOSITORY / "tools" / "detect.py"), f"--config_file={config}"]
    command += [f"--model_dir={model_dir}", *(f"--params_override={text}" for text in overrides)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def settings(tiny_backbone, digit_records, folder):
    path = folder / "config.yaml"
    tree = tiny_config(tiny_backbone, digit_records) | {
        "trainer": {"train_steps": 4000, "steps_per_loop": 100, "summary_interval": 100}
        | {"validation_interval": 4000, "checkpoint_interval": 4000},
    }
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_stop_and_a_kill_in_the_middle_of_a_loop_of_steps(tiny_backbone, digit_records, tmp_path):
    """With 100 steps a loop and one checkpoint a run, only what is saved in between can be gone on from."""
    config, model_dir = settings(tiny_backbone, digit_records, tmp_path), tmp_path / "run"
    process = start(config, model_dir)
    for line in process.stdout:
        if line.startswith("step 100/"):
            process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    stopped = int(tf.train.latest_checkpoint(str(model_dir)).rpartition("-")[2])
    assert 100 < stopped < 200, line
    assert line.startswith(f"stopped at step {stopped}; saved") and "go on with: python" in line

    process = start(config, model_dir)
    for line in process.stdout:
        if line.startswith("from checkpoint"):
            assert f"step {stopped}" in line
            time.sleep(20)
            os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process = start(config, model_dir, f"trainer.train_steps={stopped + 3}")
    output = process.communicate()[0]
    assert process.returncode == 0 and f"step {stopped + 3}/{stopped + 3}" in output, output


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_poisoned_checkpoint_is_saved_or_restored(value, tmp_path):
    variable, manager = checkpoints(tmp_path)
    manager.checkpoint.v.assign(tf.fill([1000], tf.constant(value, tf.float32)))
    manager.save(11)  # as older versions did
    interruption.refuse_poison(manager, lambda: [tf.Variable(1), variable])
    with pytest.raises(UsageError, match=r"diverged; .*is .*ckpt-11\. Received: values of Variable"):
        manager.save(12)
    assert not list(tmp_path.glob("ckpt-12*"))
    lines = []
    interruption.drop_broken_checkpoints(str(tmp_path), lines.append)
    assert len(lines) == 1 and "ckpt-11 is broken" in lines[0]
    variable.assign(tf.zeros([1000]))
    assert manager.save(13).endswith("ckpt-13")
