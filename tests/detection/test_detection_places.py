"""Places of a detector's files: the same from every folder, whatever their names are; a missing one is called so."""

import re
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from official.core import config_definitions as cfg
from tiny_config import tiny_config

from dartsminus_tf.foundation.config.paths import PATTERN_MARKS, absolute
from dartsminus_tf.foundation.config.settings import lookup
from dartsminus_tf.foundation.config.yaml_text import dump_yaml
from dartsminus_tf.foundation.errors import UsageError
from detection.cli import detect
from detection.coco.annotations import read_labels
from detection.data import samples, shards
from detection.model import experiment, manifest, task
from detection.run.directory import DETECTOR, PATHS, chosen_settings, evaluation_folder, with_absolute_paths

FOLDERS = [
    "plain",
    "a [1]",
    "[!x]",
    "a*b",
    "what?",
    "a, b",
    "{c}",
    "back\\slash",
    "$x",
    "~",
    "\u732b \U0001f431",
    " b ",
]


@pytest.fixture(scope="module")
def images(digit_records):
    """How many images each split has, and the first bytes of its first one."""
    data = cfg.DataConfig(input_path=str(digit_records / "val*.tfrecord"))
    return [(sample.name, sample.image.tobytes()) for sample in samples.data_samples(data)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_read_whatever_it_is_called(folder, digit_records, images, tiny_backbone, tmp_path):
    place = tmp_path / folder
    shutil.copytree(digit_records, place, ignore=shutil.ignore_patterns("images*"))
    for decoy in ("a 1", "y", "axb", "whatx"):  # what the names would match as patterns
        (tmp_path / decoy).mkdir(exist_ok=True)
        for file in ("val-00000-of-00001.tfrecord", "train-00000-of-00001.tfrecord"):
            (tmp_path / decoy / file).write_bytes(b"none")
    settings = with_absolute_paths(tiny_config(tiny_backbone, place))
    data = experiment.build_experiment(settings).task.validation_data
    assert [(s.name, s.image.tobytes()) for s in samples.data_samples(data)] == images
    reader = task.DartsMinusRetinaNetTask(experiment.build_experiment(settings).task)
    batches = list(reader.build_inputs(data).take(10))
    assert sum(int(labels["groundtruths"]["source_id"].shape[0]) for _, labels in batches) == len(images) == 4


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a/*.tfrecord", ["a/1.tfrecord", "a/2.tfrecord"]),
        ("a/[1].tfrecord", ["a/1.tfrecord"]),
        ("a/?.tfrecord", ["a/1.tfrecord", "a/2.tfrecord"]),
        ("[ab]/1.tfrecord", ["a/1.tfrecord"]),
        ("x [1]/*", ["x [1]/[1].tfrecord"]),
        ("x [1]/[1].tfrecord", ["x [1]/[1].tfrecord"]),
        ("x 1/*", []),
        ("absent/*", []),
        ("", []),
    ],
)
def test_patterns(pattern, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("a/1.tfrecord", "a/2.tfrecord", "x [1]/[1].tfrecord"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert shards.matching_files(pattern) == found


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("a/x*,b/y*", "{0}/a/x*,{0}/b/y*"),
        (" a/x* , b/y* ", "{0}/a/x*,{0}/b/y*"),
        (["a/x*", "b, c/y*"], ["{0}/a/x*", "{0}/b, c/y*"]),
        ("b, c/y*", ["{0}/b, c/y*"]),  # it is there
        ("/a/x*", "/a/x*"),
        ("gs://a/x*,s3://b", "gs://a/x*,s3://b"),
        ("../x*", "{1}/x*"),
    ],
)
def test_patterns_are_kept_from_the_root_on(written, kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b, c").mkdir()
    (tmp_path / "b, c" / "y1").touch()
    filled = [text.format(tmp_path, tmp_path.parent) for text in ([kept] if isinstance(kept, str) else kept)]
    assert shards.absolute_patterns(written) == (filled[0] if isinstance(kept, str) else filled)


def test_a_run_means_the_same_from_every_folder(tmp_path, monkeypatch, tiny_backbone, digit_records):
    for name, source in (("backbone", tiny_backbone), ("records", digit_records)):
        (tmp_path / name).symlink_to(source)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(dump_yaml(tiny_config("backbone", Path("records"))))
    chosen, _ = chosen_settings("run", [str(config)], [], True)
    for key in PATHS:
        value = lookup(chosen, key)
        assert value is None or value.startswith(f"{tmp_path}/")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "params.yaml").write_text(dump_yaml(chosen))
    (tmp_path / "run" / "checkpoint").touch()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again, saved = chosen_settings("../run", [], [], False)
    again["task"]["model"]["backbone"]["dartsminus"].pop("freeze_batch_norm")  # the run's own choice, none here
    assert again == saved == chosen
    assert evaluation_folder(again["task"]["annotation_file"], saved, "../run") == "../run"
    with pytest.raises(UsageError, match="no such folder: saved_model must be a folder"):
        chosen_settings("../run", [str(config)], [], True)


def test_a_run_of_an_older_version_kept_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = tiny_config("backbone", Path("records"))
    assert before["task"]["annotation_file"] == "records/instances_val.json"
    DETECTOR.require_same(before, with_absolute_paths(before), tmp_path)
    with pytest.raises(UsageError, match="task.model"):
        DETECTOR.require_same(before, with_absolute_paths(before | {"task": {"model": "x"}}), tmp_path)


@pytest.mark.parametrize("place", ["absent.json", "/nowhere/a.json", "[x]/*.json"])
def test_missing_files_are_called_missing(place):
    with pytest.raises(UsageError, match=rf"^task.annotation_file: no such file .* Received: '{re.escape(place)}'$"):
        read_labels(place)
    with pytest.raises(UsageError, match=r"^no such folder: saved_model must be a folder .* Received: "):
        manifest.read_manifest(place)


@pytest.mark.parametrize("mark", PATTERN_MARKS)
def test_a_run_directory_that_tensorflow_reads_as_a_pattern(mark, tmp_path, capsys):
    for mode in ("train_and_eval", "eval", "predict", "export"):
        assert detect.run(["detect", f"--model_dir={tmp_path}/a{mark}b", f"--mode={mode}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(
            f"error: --model_dir must have none of {PATTERN_MARKS}, which TensorFlow reads as patterns"
        )
    assert list(tmp_path.iterdir()) == [] and absolute("") == "" and tf.io.gfile.exists(str(tmp_path))
