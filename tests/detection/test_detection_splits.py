"""A prepared split is whole, with a manifest that can be believed, or nothing is trained on it."""

import json
import os
import shutil

import pytest

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.status import StatusFile
from detection.data import checks
from detection.data.stats import read_stats
from tests.detection.prepared import half_prepared, params_of


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("how", ["stopped", "killed", "without a trace"])
def test_a_half_prepared_split_is_refused_until_its_preparation_goes_on(prepared, split, how):
    checks.check_data(params_of(prepared.out), True, "unused")
    half_prepared(prepared, split, how)
    assert [path.name for path in prepared.out.glob(f"{split}-*")] == [f"{split}-00000-of-00002.tfrecord"]
    with pytest.raises(UsageError, match=f"'{split}-00001-of-00002.tfrecord' is missing") as refused:
        checks.check_data(params_of(prepared.out), True, "unused")
    assert ("go on with: " if how != "without a trace" else "go on with prepare_coco") in str(refused.value)
    if split == "val":
        with pytest.raises(UsageError, match="is not whole"):
            checks.check_data(params_of(prepared.out), False, "unused")
    prepared.prepare(split)
    checks.check_data(params_of(prepared.out), True, "unused")


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("place", [0, 11, 0.3, 0.7, -1])
def test_a_flipped_bit_of_a_shard_is_refused(prepared, split, place):
    """TFRecord's own checksums would lose the rest of the file in silence."""
    path = prepared.out / f"{split}-00001-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[place if isinstance(place, int) else int(place * len(content))] ^= 4
    path.write_bytes(content)
    for training in (True, False):
        if training or split == "val":
            with pytest.raises(UsageError, match=rf"another checksum; pass --overwrite\. Received: '{path}'"):
                checks.check_data(params_of(prepared.out), training, "unused")
        else:
            checks.check_data(params_of(prepared.out), training, "unused")


def flip(path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0.05, 0.35, 0.6, 0.9])
def test_a_flipped_bit_of_the_annotations_is_refused(prepared, place):
    """It would be another box, another name, or a key that nobody knows."""
    path = prepared.out / "instances_val.json"
    flip(path, place)
    for training in (True, False):
        with pytest.raises(UsageError, match=rf"another checksum; pass --overwrite\. Received: '{path}'"):
            checks.check_data(params_of(prepared.out), training, "unused")


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": None},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, "4"]},
        {"bbox": [1, 2, 3, True]},
        {"bbox": "1,2,3,4"},
        {"area": None},
        {"area": "12"},
        {"cbox": [1, 2, 3, 4]},
    ],
)
def test_annotations_from_elsewhere_have_boxes(prepared, tmp_path, change):
    coco = json.loads((prepared.out / "instances_val.json").read_text())
    other = tmp_path / "mine.json"
    other.write_text(json.dumps(coco))
    assert checks.prepared_labels(str(other)).num_images == len(coco["images"])
    if "cbox" in change:
        del coco["annotations"][0]["bbox"]
    coco["annotations"][0] |= change
    other.write_text(json.dumps(coco))
    with pytest.raises(UsageError, match="must be the instances JSON that prepare_coco wrote"):
        checks.prepared_labels(str(other))


def test_a_split_whose_preparation_ended_before_its_manifest_is_refused(prepared):
    half_prepared(prepared, "train", "killed")
    shutil.copy(prepared.out / "train-00000-of-00002.tfrecord", prepared.out / "train-00001-of-00002.tfrecord")
    for pattern in ("train*.tfrecord", "train-00000-of-00002.tfrecord"):
        with pytest.raises(UsageError, match="'stats_train.json' is missing"):
            checks.check_data(params_of(prepared.out, pattern), True, "unused")


def test_a_split_that_is_being_prepared_is_refused(prepared):
    (prepared.out / "stats_train.json").unlink()
    said = f"being prepared by process {os.getpid()} "
    with StatusFile(prepared.out, "train"), pytest.raises(UsageError, match=said):
        checks.check_data(params_of(prepared.out), True, "unused")


def of_another_origin(out, *names: str) -> None:
    content = next(out.glob("train-*")).read_bytes()
    shutil.rmtree(out / "other", ignore_errors=True)
    (out / "other").mkdir()
    for name in names:
        (out / "other" / name).write_bytes(content)


def test_records_of_another_origin_have_no_manifest(prepared):
    """Names with other digits, names without numbers, single files: taken; a gap is refused."""
    taken = [
        (["t-0-of-2.tfrecord", "t-1-of-2.tfrecord"], "t*"),
        (["t.tfrecord"], "t*"),
        (["t-00001-of-00003.tfrecord"], "t-00001-of-00003.tfrecord"),
    ]
    for names, pattern in taken:
        of_another_origin(prepared.out, *names)
        checks.check_data(params_of(prepared.out, f"other/{pattern}"), True, "unused")
    of_another_origin(prepared.out, "t-00000-of-00003.tfrecord", "t-00002-of-00003.tfrecord")
    with pytest.raises(UsageError, match="'t-00001-of-00003.tfrecord' is missing .1 in all"):
        checks.check_data(params_of(prepared.out, "other/t*"), True, "unused")


DAMAGES = {
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "a list": lambda text: "[]",
    "null": lambda text: "null",
    "no stats": lambda text: '{"state": "finished"}',
    "not UTF-8": lambda text: text.replace("cat", "\udcff"),
    "a number as text": lambda text: text.replace('"images": 3', '"images": "3"'),
    "below 0": lambda text: text.replace('"boxes": 3', '"boxes": -3'),
    "too few classes": lambda text: text.replace('"num_classes": 8', '"num_classes": 7'),
    "a digest": lambda text: text.replace('"sha256": "', '"sha256": "x'),
    "another number of shards": lambda text: text.replace('"num_shards": 2', '"num_shards": 3'),
    "a file elsewhere": lambda text: text.replace('"instances_train.json"', '"../instances_train.json"'),
    "a name": lambda text: text.replace('"cat"', "null"),
    "an unknown key": lambda text: text.replace('"boxes"', '"more": 1, "boxes"'),
    "more crowds than boxes": lambda text: text.replace('"crowd_boxes": 1', '"crowd_boxes": 9'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_is_one_line(prepared, damage):
    path = prepared.out / "stats_train.json"
    text = DAMAGES[damage](path.read_text())
    assert text != path.read_text()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for use in (lambda: checks.check_data(params_of(prepared.out), True, "unused"), prepared.prepare):
        with pytest.raises(UsageError, match="a manifest is damaged .*prepare_coco --overwrite. Received: .*train"):
            use()
    assert not prepared.prepare(overwrite=True)["skipped"]


def test_the_manifest_says_the_same_when_it_is_read_again(prepared):
    stored = json.loads((prepared.out / "stats_train.json").read_text())
    again = read_stats(prepared.out / "stats_train.json").model_dump(mode="json", exclude_none=True)
    assert again == stored
