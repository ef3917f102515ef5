"""A detector's data may lie elsewhere at the next call; what they hold may not be another."""

import json
import shutil

import pytest
from tiny_config import tiny_config

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.annotations import read_labels
from detection.data.content import content_of
from detection.model import experiment
from detection.run.directory import DETECTOR, with_absolute_paths


def content(backbone, records, tmp_path):
    settings = with_absolute_paths(tiny_config(backbone, records))
    params = experiment.build_experiment(settings, str(tmp_path / "run"))
    return content_of(params, read_labels(params.task.annotation_file))


def test_another_place_is_the_same_content(tiny_backbone, digit_records, tmp_path):
    shutil.copytree(digit_records, tmp_path / "moved")
    (tmp_path / "link").symlink_to(digit_records)
    found = content(tiny_backbone, digit_records, tmp_path)
    assert found.keys() == {"annotations", "train_data", "validation_data"}
    assert content(tiny_backbone, tmp_path / "moved", tmp_path) == found
    assert content(tiny_backbone, tmp_path / "link", tmp_path) == found
    before, now = (
        with_absolute_paths(tiny_config(tiny_backbone, folder)) for folder in (digit_records, tmp_path / "moved")
    )
    DETECTOR.require_same(before, now, tmp_path)
    with pytest.raises(UsageError, match="saved_model"):
        DETECTOR.require_same(before, with_absolute_paths(tiny_config("other", digit_records)), tmp_path)


def edit_annotations(folder):
    file = folder / "instances_val.json"
    tree = json.loads(file.read_text())
    tree["annotations"][0]["bbox"][0] += 1
    file.write_text(json.dumps(tree))


CHANGES = {
    "annotations": edit_annotations,
    "train_data": lambda folder: next(folder.glob("train*.tfrecord")).rename(folder / "train_x.tfrecord"),
    "validation_data": lambda folder: shutil.copy(next(folder.glob("val*.tfrecord")), folder / "val_more.tfrecord"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_other_content(what, tiny_backbone, digit_records, tmp_path):
    shutil.copytree(digit_records, tmp_path / "moved")
    CHANGES[what](tmp_path / "moved")
    before, now = content(tiny_backbone, digit_records, tmp_path), content(tiny_backbone, tmp_path / "moved", tmp_path)
    assert [key for key in before if before[key] != now[key]] == [what]
