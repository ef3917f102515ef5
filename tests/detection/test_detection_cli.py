"""The two command lines: one-line errors with exit code 2 and nothing written, and whole small runs."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image
from tiny_config import tiny_config

from dartsminus_tf.foundation.config.settings import lookup, read_settings
from dartsminus_tf.foundation.disk.digests import folder_digests
from detection.cli import detect, prepare_coco
from detection.model import experiment

REPOSITORY = Path(__file__).resolve().parents[2]


def refused(capsys, run, arguments) -> str:
    """Runs a command that must fail; returns its one line."""
    assert run(["tool", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def config(tmp_path, digit_records, tiny_backbone):
    """Path of a run config small enough for a test, on 64-pixel images."""
    tree = tiny_config(tiny_backbone, digit_records)
    # At the fresh head's score of about 0.01 everything is below 0.05, and there would be nothing to see.
    tree["task"]["model"]["detection_generator"] = {"pre_nms_score_threshold": 0.0}
    tree["trainer"] = (
        {"train_steps": 3, "steps_per_loop": 1, "summary_interval": 1}
        | {"validation_interval": 3, "checkpoint_interval": 1}
        | {"optimizer_config": {"ema": {"average_decay": 0.9}}}
    )
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return str(path)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--output_dir is required"),
        (["--nope"], "nope"),
        (["--mode=other"], "mode"),
        (["--num_shards=x"], "num_shards"),
        (["--output_dir={out}"], "--image_dir is required"),
        (["--output_dir={out}", "--image_dir={out}", "--annotations=a"], "--image_dir: no such folder"),
        (["--output_dir={out}", f"--image_dir={__file__}", "--annotations=a"], "--image_dir must be a folder"),
        (["--output_dir={out}", "--image_dir=.", "--annotations=nowhere"], "--annotations: no such file"),
        (["--output_dir={out}", "--image_dir=.", "--annotations=."], "--annotations cannot be read"),
        (["--output_dir={out}", "--image_dir=.", "--annotations=a", "--split_name=a/b"], "--split_name"),
        (["--output_dir={out}", "--image_dir=.", "--annotations=a", "--num_shards=0"], "must be at least"),
        (["--output_dir={out}", "--mode=digit_scenes", "--num_val=0"], "--num_val must be at least 1"),
        (["--output_dir={out}", "--mode=digit_scenes", "--num_shards=0"], "--num_shards must be at least 1"),
        (["--output_dir={out}", "--mode=digit_scenes", "--canvas=8"], "--canvas must be at least 64"),
        (["--output_dir={out}", "stray"], "must be --flag=value"),
    ],
)
def test_prepare_refuses(capsys, tmp_path, arguments, message):
    out = tmp_path / "out"
    assert message in refused(capsys, prepare_coco.run, [a.format(out=out) for a in arguments])
    assert not out.exists()


def test_prepare_refuses_unreadable_annotations_and_writes_nothing(capsys, coco_folder, tmp_path):
    images, coco, write = coco_folder
    for text, message in (
        ("{", "JSON"),
        (json.dumps(coco | {"images": [{"id": 9, "file_name": "9.jpg"}]}), "none"),
    ):
        flags = [f"--image_dir={images}", f"--annotations={write(text)}", f"--output_dir={tmp_path / 'out'}"]
        assert message in refused(capsys, prepare_coco.run, flags)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["task.model.nope=1"], "unknown key 'task.model.nope'"),
        (["nope=1"], "unknown key 'nope'"),
        (["trainer.train_steps=abc"], "trainer.train_steps must be an integer"),
        (["trainer.train_steps=0"], "trainer.train_steps must be at least 1"),
        (["trainer=3"], "trainer must be a mapping"),
        (["task.model.input_size=[70,64,3]"], "multiples of 2**max_level = 32"),
        (["task.model.num_classes=10"], "largest category id + 1 = 11"),
        (["task.model.min_level=2"], r"needs backbone levels [2] too"),
        (["task.model.backbone.dartsminus.saved_model=nowhere"], "saved_model must be a folder"),
        (["task.model.backbone.type=nope"], "not valid"),
        (["task.annotation_file=nowhere.json"], "task.annotation_file: no such file"),
        ([f"task.annotation_file={__file__}"], "task.annotation_file must be a JSON file"),
        (["task.train_data.input_path=nowhere*"], "matches no file"),
        (["task.validation_data.drop_remainder=true"], "drop_remainder must be false"),
        (["runtime.distribution_strategy=multi_worker_mirrored"], "must be one_device or mirrored"),
        (["task.use_coco_metrics=false"], "task.use_coco_metrics must be True"),
        (["trainer.best_checkpoint_export_subdir=best"], "best_checkpoint_export_subdir must be ''"),
        (["task.model.detection_generator.pre_nms_top_k=50"], "not for batched"),
        (["trainer.optimizer_config.ema.trainable_weights_only=false"], "trainable_weights_only must be true"),
        (["runtime.num_gpus=8"], "runtime.num_gpus must be at most"),
        (["a b"], "An override has the form"),
    ],
)
def test_detect_refuses_bad_settings(capsys, tmp_path, config, overrides, message):
    flags = [f"--config_file={config}", f"--model_dir={tmp_path / 'run'}"]
    line = refused(capsys, detect.run, flags + [f"--params_override={o}" for o in overrides])
    assert message in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy, present, used", [("one_device", 2, 1), ("mirrored", 2, 2), ("one_device", 0, 0)])
def test_gpus_are_used_where_there_are_any(monkeypatch, tiny_backbone, strategy, present, used):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["device"] * present)
    tree = tiny_config(tiny_backbone) | {"runtime": {"distribution_strategy": strategy}}
    assert experiment.build_experiment(tree).runtime.num_gpus == used


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--model_dir is required"),
        (["--model_dir={out}"], "--config_file is required"),
        (["--model_dir={out}", "--config_file=nowhere.yaml"], "Cannot read config file (No such file"),
        (["--model_dir={out}", "--mode=eval"], "no trained run"),
        (["--model_dir={out}", "--mode=predict", "--input=nowhere"], "--input must be"),
        (["--model_dir={out}", "--score_threshold=2"], "--score_threshold must be in"),
        (["--model_dir={out}", "--mode=trane"], "mode"),
    ],
)
def test_detect_refuses_bad_flags(capsys, tmp_path, arguments, message):
    out = tmp_path / "out"
    assert message in refused(capsys, detect.run, [a.format(out=out) for a in arguments])
    assert not out.exists()


def test_the_scripts_exit_with_2_and_no_traceback(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    for name in ("detect", "prepare_coco"):
        done = subprocess.run(
            [sys.executable, str(REPOSITORY / "tools" / f"{name}.py"), "--nope"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


def test_help_lists_the_flags(capsys):
    assert detect.run(["detect", "--help"]) == 0
    assert "--params_override" in capsys.readouterr().out


@pytest.fixture
def parses(monkeypatch) -> list[dict]:
    """Every instances JSON that is parsed from now on."""
    found, real = [], json.loads

    def counting(*args, **kwargs):
        value = real(*args, **kwargs)
        if isinstance(value, dict) and "annotations" in value:
            found.append(value)
        return value

    monkeypatch.setattr(json, "loads", counting)  # json.load goes through it
    return found


def test_a_folder_of_something_else_is_no_run_directory(capsys, tmp_path, config):
    (tmp_path / "holiday.txt").write_text("mine")
    before = sorted(tmp_path.iterdir())
    message = refused(capsys, detect.run, [f"--config_file={config}", f"--model_dir={tmp_path}"])
    assert "must be a run directory, an empty one or a new one" in message
    assert sorted(tmp_path.iterdir()) == before


def test_train_resume_evaluate_and_predict(capsys, tmp_path, config, digit_records, parses):
    """The life of a run: train, go on, evaluate, draw; and another config is kept out."""
    model_dir = tmp_path / "run"
    flags = ["detect", f"--config_file={config}", f"--model_dir={model_dir}"]
    assert detect.run(flags) == 0
    assert len(parses) == 1
    output = capsys.readouterr().out
    assert "step 3/3" in output and output.strip().splitlines()[-1].startswith("train_and_eval: AP ")
    result = json.loads((model_dir / "result.json").read_text())
    keys = {"ap", "ap50", "ap75", "aps", "apm", "apl"}
    assert keys | {"steps", "seconds", "parameters", "saved_model", "per_class"} <= result.keys()
    assert result["steps"] == 3 and result["images_evaluated"] == 4
    assert set(result["per_class"]) == set("0123456789")
    assert Image.open(model_dir / "detections.png").width > 600
    assert list((model_dir / "train").glob("events*"))
    (images,) = (model_dir / "validation").glob("events*.images")
    tags = {value.tag for event in tf.compat.v1.train.summary_iterator(str(images)) for value in event.summary.value}
    assert tags == {"detections", "precision_recall"}

    assert detect.run([*flags, "--params_override=trainer.train_steps=4"]) == 0
    assert "from checkpoint at step 3" in capsys.readouterr().out
    with open(model_dir / "metrics.csv", newline="", encoding="utf-8") as file:
        steps = [(int(row["step"]), row["split"]) for row in csv.DictReader(file)]
    assert steps == [
        (1, "train"),
        (2, "train"),
        (3, "train"),
        (3, "validation"),
        (4, "train"),
        (4, "validation"),
    ]

    assert detect.run([*flags, "--params_override=trainer.train_steps=4"]) == 0  # nothing to do but evaluate
    assert "step 4  validation" in capsys.readouterr().out
    for override in ("runtime.mixed_precision_dtype=bfloat16", "trainer.optimizer_config.ema=null"):
        arguments = [f"--model_dir={model_dir}", "--mode=eval", f"--params_override={override}"]
        assert "belongs to a run of another config" in refused(capsys, detect.run, arguments)

    changed = refused(capsys, detect.run, [*flags[1:], "--params_override=task.losses.l2_weight_decay=0.5"])
    assert "belongs to a run of another config" in changed and "l2_weight_decay" in changed

    trained, status = json.loads((model_dir / "result.json").read_text()), (model_dir / "status.json").read_text()
    assert '"state": "finished"' in status and '"position": "step 4"' in status
    parses.clear()
    found = json.loads((model_dir / "detections.json").read_text())
    assert detect.run(["detect", f"--model_dir={model_dir}", "--mode=eval"]) == 0
    evaluated = json.loads((model_dir / "result.json").read_text())
    assert evaluated["steps"] == 4 and len(parses) == 1
    assert evaluated["ap"] == pytest.approx(trained["ap"], abs=1e-6)
    same_detections(json.loads((model_dir / "detections.json").read_text()), found)
    for name in ("detections.png", "pr_curves.png", "per_class.csv", "per_class.md"):
        assert (model_dir / name).stat().st_size > 0
    capsys.readouterr()

    assert detect.run(["detect", f"--model_dir={model_dir}", "--mode=predict", "--num_pictures=2"]) == 0
    assert "4 images" in capsys.readouterr().out
    results = json.loads((model_dir / "predictions" / "results.json").read_text())
    assert {r["image_id"] for r in results} == {1, 2, 3, 4}
    assert all(1 <= r["category_id"] <= 10 and len(r["bbox"]) == 4 for r in results)
    same_detections(results, found)  # averaged weights, preprocessing and boxes are those of evaluation
    assert len(list((model_dir / "predictions").glob("*.png"))) == 2

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, picture in enumerate(sorted((digit_records / "images" / "val").glob("*.jpg"))[:2]):
        (pictures / f"{number}.jpg").write_bytes(picture.read_bytes())
    (pictures / "broken.jpg").write_bytes(b"no image")
    assert detect.run(["detect", f"--model_dir={model_dir}", "--mode=predict", f"--input={pictures}"]) == 1
    assert json.loads((model_dir / "predictions" / "unreadable.json").read_text()) == [str(pictures / "broken.jpg")]
    assert "2 images, 1 unreadable files left out" in capsys.readouterr().out
    assert (model_dir / "predictions" / "0.jpg.png").is_file()

    assert (model_dir / "status.json").read_text() == status  # that of the training

    export_and_compare(capsys, model_dir, pictures / "0.jpg", found)
    on_training_images(model_dir, digit_records)


def same_detections(actual: list[dict], expected: list[dict]) -> None:
    """The same boxes with the same scores, whatever the order of equal scores."""
    key = lambda r: (r["image_id"], -round(r["score"], 4), r["category_id"], r["bbox"])  # noqa: E731
    actual, expected = sorted(actual, key=key), sorted(expected, key=key)
    assert len(actual) == len(expected) > 0
    scores = [[r["score"] for r in entries] for entries in (actual, expected)]
    np.testing.assert_allclose(*scores, atol=1e-3)
    areas = [sorted(r["bbox"][2] * r["bbox"][3] for r in entries) for entries in (actual, expected)]
    np.testing.assert_allclose(*areas, rtol=1e-2, atol=1.0)


def export_and_compare(capsys, model_dir, picture, found) -> None:
    """The export gives, from the bytes of a validation image, what evaluation gave for it."""
    assert detect.run(["detect", f"--model_dir={model_dir}", "--mode=export"]) == 0
    folder = model_dir / "export" / "4"  # the step is TensorFlow Serving's version
    assert capsys.readouterr().out.strip() == f"export: {folder}"
    assert {"saved_model.pb", "variables", "detector.json"} <= {p.name for p in folder.iterdir()}
    description = json.loads((folder / "detector.json").read_text())
    assert description["categories"]["1"] == "0" and description["step"] == 4
    digests = folder_digests(folder)
    assert digests | {"detector.json": ""} == description["digests"] | {"detector.json": ""}
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "image_tensor"}
    content = picture.read_bytes()
    outputs = loaded.signatures["serving_default"](image_bytes=tf.constant([content, content]))
    assert outputs["detection_boxes"].shape[0] == 2
    served = [
        {"image_id": 1, "category_id": int(c), "bbox": [x, y, x2 - x, y2 - y], "score": float(s)}
        for (y, x, y2, x2), c, s in zip(
            *(outputs[f"detection_{k}"][1].numpy().tolist() for k in ("boxes", "classes", "scores")), strict=True
        )
    ][: int(outputs["num_detections"][1])]
    same_detections(served, [entry for entry in found if entry["image_id"] == 1])
    again = refused(capsys, detect.run, [f"--model_dir={model_dir}", "--mode=export"])
    assert "must be new or empty" in again


def on_training_images(model_dir, records) -> None:
    """Evaluation on other data does not overwrite the run's own result."""
    before = (model_dir / "result.json").read_text()
    data = (
        f"task.annotation_file={records}/instances_train.json,task.validation_data.input_path={records}/train*.tfrecord"
    )
    assert detect.run(["detect", f"--model_dir={model_dir}", "--mode=eval", f"--params_override={data}"]) == 0
    assert (model_dir / "result.json").read_text() == before
    other = json.loads((model_dir / "eval_instances_train" / "result.json").read_text())
    assert other["images_evaluated"] == other["images_annotated"] == 8


@pytest.mark.parametrize("name", sorted(p.name for p in (REPOSITORY / "configs").glob("detect_*.yaml")))
def test_the_shipped_configs_are_valid(name, tiny_backbone):
    """Every key is known and every rule holds, once a backbone is there."""
    from detection.model import experiment

    chosen = read_settings(
        [str(REPOSITORY / "configs" / name)], [f"task.model.backbone.dartsminus.saved_model={tiny_backbone}"]
    )
    experiment.build_experiment(chosen)


def test_the_coco_recipe_is_the_papers(tiny_backbone):
    """12 epochs of batch 16, learning rate 0.01 divided by ten after epochs 8 and 11."""
    from detection.model import experiment

    chosen = read_settings(
        [str(REPOSITORY / "configs" / "detect_coco.yaml")],
        [f"task.model.backbone.dartsminus.saved_model={tiny_backbone}"],
    )
    params = experiment.build_experiment(chosen)
    epoch = 118287 // params.task.train_data.global_batch_size
    assert params.task.train_data.global_batch_size == 16
    assert params.trainer.train_steps == 12 * epoch
    rate = params.trainer.optimizer_config.learning_rate.stepwise
    assert list(rate.boundaries) == [8 * epoch, 11 * epoch]
    assert list(rate.values) == pytest.approx([0.01, 0.001, 0.0001])


def test_the_640_recipe_is_model_gardens(tiny_backbone):
    """Everything that decides a result is as in `retinanet_resnetfpn_coco`, but the backbone."""
    from official.core import exp_factory
    from official.vision.configs import retinanet  # noqa: F401  registers it

    from detection.model import experiment

    chosen = read_settings(
        [str(REPOSITORY / "configs" / "detect_coco_640.yaml")],
        [f"task.model.backbone.dartsminus.saved_model={tiny_backbone}"],
    )
    ours, theirs = experiment.build_experiment(chosen), exp_factory.get_exp_config("retinanet_resnetfpn_coco")
    for part in ("trainer.optimizer_config", "trainer.train_steps", "runtime.mixed_precision_dtype", "task.losses") + (
        *("task.train_data.parser", "task.train_data.global_batch_size", "task.model.input_size"),
        *("task.model.anchor", "task.model.head", "task.model.decoder", "task.model.norm_activation"),
        *("task.model.num_classes", "task.model.min_level", "task.model.max_level"),
    ):
        a, b = (lookup(params.as_dict(), part) for params in (ours, theirs))
        assert a == b, part
