"""What became of work that ended, was killed, left inputs out or met another process: status files and exit codes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf
import yaml
from tiny_config import tiny_config

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.status import StatusFile
from detection.cli import detect, prepare_coco
from detection.coco.repair import repair
from detection.data import records
from detection.data.records import prepare_split
from tests.detection.conftest import REPOSITORY


def started(tool: str, *flags: str) -> subprocess.Popen:
    command = [sys.executable, str(REPOSITORY / "tools" / tool), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def killed(process: subprocess.Popen) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def stored(directory, part="") -> dict:
    return json.loads((directory / (f"status_{part}.json" if part else "status.json")).read_text())


def test_a_killed_training_says_where_and_goes_on(tiny_backbone, digit_records, tmp_path):
    config, model_dir = tmp_path / "config.yaml", tmp_path / "run"
    trainer = {"train_steps": 12, "steps_per_loop": 1, "summary_interval": 1}
    trainer |= {"validation_interval": 12, "checkpoint_interval": 5}
    config.write_text(yaml.safe_dump(tiny_config(tiny_backbone, digit_records) | {"trainer": trainer}))
    flags = [f"--config_file={config}", f"--model_dir={model_dir}"]
    process = started("detect.py", *flags)
    for line in process.stdout:
        if line.startswith("step 8/"):
            killed(process)
            break
    assert stored(model_dir)["state"] == "running"  # it could not write any more
    status, saved = StatusFile(model_dir).read(), tf.train.latest_checkpoint(str(model_dir)).rpartition("-")[2]
    assert status.state == "lost" and status.line == f"killed or lost at step {saved}"
    rows = csv.DictReader((model_dir / "metrics.csv").read_text().splitlines())
    assert max(int(row["step"]) for row in rows) > int(saved)

    assert detect.run(["detect", *flags]) == 0
    status = stored(model_dir)
    assert (status["state"], status["resumed"], status["position"]) == ("finished", 1, "step 12")
    rows = list(csv.DictReader((model_dir / "metrics.csv").read_text().splitlines()))
    steps = [(int(row["step"]), row["split"]) for row in rows]
    assert steps == [*((step, "train") for step in range(1, 13)), (12, "validation")]  # each once


def scenes(folder, *more: str) -> list[str]:
    return ["--mode=digit_scenes", f"--output_dir={folder}", "--num_train=4", "--num_val=2", "--canvas=64", *more]


@pytest.mark.parametrize("mode", ["digit_scenes", "coco"])
def test_a_killed_preparation_says_so_and_goes_on(coco_folder, tmp_path, mode):
    """It is killed as soon as it has begun: then scenes are drawn, or TensorFlow is imported for the first shard."""
    images, coco, write = coco_folder
    out = tmp_path / "out"
    of_folder = [f"--image_dir={images}", f"--annotations={write(coco)}", f"--output_dir={out}"]
    flags = of_folder if mode == "coco" else scenes(out)
    process = started("prepare_coco.py", *flags)
    while not (out / "status_train.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    killed(process)
    status = StatusFile(out, "train").read()
    assert status.state == "lost" and status.line == "killed or lost"
    assert not (out / "stats_train.json").exists()
    half_written = out / ".99999999.tmp.train-00000-of-00001.tfrecord"
    half_written.write_bytes(b"by a process that is gone")
    assert prepare_coco.run(["prepare_coco", *flags]) == 0
    assert not half_written.exists()
    assert (stored(out, "train")["state"], stored(out, "train")["resumed"]) == ("finished", 1)
    if mode == "digit_scenes":
        assert (stored(out, "val")["state"], stored(out, "val")["resumed"]) == ("finished", 0)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert prepare_coco.run(["prepare_coco", *flags]) == 0  # there already: nothing is written
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_scenes_of_other_options_are_refused_before_any_is_drawn(tmp_path, capsys):
    assert prepare_coco.run(["prepare_coco", *scenes(tmp_path)]) == 0
    for name in ("annotations/instances_train.json", "stats_train.json", "status_train.json"):
        (tmp_path / name).unlink()
    assert prepare_coco.run(["prepare_coco", *scenes(tmp_path, "--num_val=3")]) == 2
    assert "holds other digit scenes" in capsys.readouterr().err
    assert not (tmp_path / "status_train.json").exists()


def test_one_preparation_of_a_split_at_a_time(coco_folder, tmp_path):
    images, coco, write = coco_folder
    out = tmp_path / "out"
    arguments = (str(images), write(coco), str(out))
    with StatusFile(out, "val"), pytest.raises(UsageError, match=f"in use by process {os.getpid()}"):
        prepare_split(*arguments, "val")
    with StatusFile(out, "train"):
        prepare_split(*arguments, "val")
    assert stored(out, "val")["state"] == "finished"


def test_what_another_process_finished_meanwhile_is_not_written_again(coco_folder, tmp_path, monkeypatch):
    images, coco, write = coco_folder
    arguments = (str(images), write(coco), str(tmp_path / "out"), "val")

    def slow_repair(*rest):
        monkeypatch.setattr(records, "repair", repair)
        assert not prepare_split(*arguments)["skipped"]
        return repair(*rest)

    monkeypatch.setattr(records, "repair", slow_repair)
    assert prepare_split(*arguments)["skipped"]


def test_a_preparation_that_fails_says_why(coco_folder, tmp_path, monkeypatch):
    from detection.data import examples

    images, coco, write = coco_folder
    monkeypatch.setattr(examples, "make_example", lambda *rest: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    status = stored(tmp_path / "out", "val")
    assert (status["state"], status["why"]) == ("failed", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("fault", ["missing", "unreadable", "outside", "box"])
def test_images_left_out_are_named_and_give_exit_code_1(coco_folder, tmp_path, capsys, fault):
    images, coco, write = coco_folder
    if fault == "missing":
        (images / "2.jpg").unlink()
    elif fault == "unreadable":
        (images / "2.jpg").write_bytes(b"no image")
    elif fault == "outside":
        coco["images"][1]["file_name"] = "../2.jpg"
    else:
        coco["annotations"][0]["bbox"] = [2, 3, 400, 12]  # repaired: nothing is left out
    flags = [f"--image_dir={images}", f"--annotations={write(coco)}", f"--output_dir={tmp_path / 'out'}"]
    lost = [] if fault == "box" else [coco["images"][1]["file_name"]]
    for _ in range(2):  # written, then verified
        assert prepare_coco.run(["prepare_coco", *flags]) == len(lost)
        assert ("1 images left out (named in stats_train.json)" in capsys.readouterr().out) == bool(lost)
    assert json.loads((tmp_path / "out" / "stats_train.json").read_text())["left_out"] == lost
