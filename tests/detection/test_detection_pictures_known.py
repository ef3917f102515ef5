"""A prepared split is known by the names, sizes and, with --verify, contents of its pictures; not by their place."""

import json
import os
import shutil

import pytest
import tensorflow as tf
from PIL import Image

from dartsminus_tf.foundation.errors import UsageError
from detection.cli import prepare_coco
from detection.data import checks, inventory
from detection.data.records import prepare_split
from tests.detection.prepared import half_prepared, params_of


def repaint(path) -> None:
    """Other pixels in the same number of bytes."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


CHANGES = {  # of pictures: what the line says of it
    "gone": (lambda images: (images / "2.jpg").unlink(), "'2.jpg': {size} bytes then, no file now"),
    "another": (lambda images: Image.new("RGB", (40, 30)).save(images / "2.jpg"), "'2.jpg': {size} bytes then, "),
    "longer": (lambda images: (images / "2.jpg").open("ab").write(b"x"), "'2.jpg': {size} bytes then, "),
    "renamed": (lambda images: (images / "2.jpg").rename(images / "2.JPG"), "'2.JPG': no file then, {size} bytes now"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_pictures_are_other_input(prepared, change):
    do, said = CHANGES[change]
    said = said.format(size=(prepared.images / "2.jpg").stat().st_size)
    do(prepared.images)
    with pytest.raises(UsageError, match=f"made from other input .other pictures, {said}"):
        prepared.prepare()
    assert not prepared.prepare(overwrite=True)["skipped"] and prepared.prepare()["skipped"]


def test_a_picture_that_came_back_is_other_input(prepared):
    content = (prepared.images / "2.jpg").read_bytes()
    (prepared.images / "2.jpg").unlink()
    assert prepared.prepare(overwrite=True)["left_out"] == ["2.jpg"]
    (prepared.images / "2.jpg").write_bytes(content)
    with pytest.raises(UsageError, match=f"'2.jpg': no file then, {len(content)} bytes now"):
        prepared.prepare()


def test_a_split_is_known_wherever_its_pictures_and_annotations_lie(prepared, tmp_path):
    """Also by other words for the same place; and times are no content."""
    moved, annotations = tmp_path / "elsewhere" / "photos", tmp_path / "elsewhere" / "other.json"
    shutil.copytree(prepared.images, moved)
    shutil.copy(prepared.annotations, annotations)
    for place in (f"{moved}/", f"{moved}/../photos", os.path.relpath(moved)):
        assert prepare_split(place, str(annotations), str(prepared.out), "train", 2, verify=True)["skipped"]
    shutil.move(prepared.out, tmp_path / "records")
    assert prepare_split(str(moved), str(annotations), str(tmp_path / "records"), "train", 2)["skipped"]
    repaint(moved / "3.jpg")
    with pytest.raises(UsageError, match="a picture has changed .*photos/3.jpg"):
        prepare_split(str(moved), str(annotations), str(tmp_path / "records"), "train", 2, verify=True)


@pytest.mark.parametrize("name", ["1.jpg", "2.jpg", "3.jpg"])
@pytest.mark.parametrize("same_time", [True, False])
def test_verify_finds_a_picture_of_the_same_size(prepared, name, same_time):
    before = (prepared.images / name).stat().st_mtime_ns
    repaint(prepared.images / name)
    os.utime(prepared.images / name, ns=(before,) * 2 if same_time else (before + 10**9,) * 2)
    files = {path: path.stat().st_mtime_ns for path in prepared.out.iterdir()}
    assert prepared.prepare()["verified"] == "records by checksum; pictures by name and size"
    with pytest.raises(UsageError, match=f"a picture has changed .*images/{name}"):
        prepared.prepare(verify=True)
    assert {path: path.stat().st_mtime_ns for path in prepared.out.iterdir()} == files


def test_verify_reads_pictures_of_another_time_first(prepared, monkeypatch):
    os.utime(prepared.images / "3.jpg", ns=(1, 1))
    read, real = [], inventory._look
    monkeypatch.setattr(inventory, "_look", lambda path: read.append(path.name) or real(path))
    assert prepared.prepare(verify=True)["verified"] == "records by checksum; pictures by their contents"
    assert read == ["3.jpg", "1.jpg", "2.jpg"]


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"1.jpg": [1, 2]}', b'{"1.jpg": [-1, 2, "x"]}'])
def test_a_damaged_inventory_is_one_line(prepared, content):
    path = prepared.out / "pictures_train.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UsageError, match="pass --overwrite. Received: .*pictures_train.json"):
        prepared.prepare(verify=True)
    with pytest.raises(UsageError, match="inventory of the pictures is missing or damaged"):
        inventory.verify(path, prepared.images)


def made_old(prepared) -> None:
    """As older versions left it: with the folder's place, and nothing of the pictures."""
    path = prepared.out / "stats_train.json"
    stats = json.loads(path.read_text())
    del stats["source"]["pictures_sha256"], stats["files"]["pictures_train.json"], stats["notes"], stats["left_out"]
    stats["source"]["image_dir"] = "where/it/was"
    path.write_text(json.dumps(stats))
    (prepared.out / "pictures_train.json").unlink()


def test_an_older_split_stays_usable_and_says_what_is_not_known(prepared):
    made_old(prepared)
    checks.check_data(params_of(prepared.out), True, "unused")
    repaint(prepared.images / "1.jpg")
    again = prepared.prepare()
    assert again["skipped"] and "its pictures were not recorded when it was prepared" in again["verified"]
    with pytest.raises(UsageError, match="--verify cannot compare the pictures: .*--overwrite records them"):
        prepared.prepare(verify=True)
    prepared.prepare(overwrite=True)
    assert prepared.prepare(verify=True)["verified"].endswith("pictures by their contents")


def test_an_interrupted_preparation_of_pictures_replaced_meanwhile_begins_anew(prepared):
    half_prepared(prepared, "train", "stopped")
    repaint(prepared.images / "1.jpg")
    prepared.prepare()
    files = [str(path) for path in prepared.out.glob("train-*")]
    made = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(files)]
    stored = {record.features.feature["image/encoded"].bytes_list.value[0] for record in made}
    assert stored == {path.read_bytes() for path in prepared.images.glob("*.jpg")}


def test_the_flags_of_verification(prepared, capsys):
    flags = ["prepare_coco", f"--image_dir={prepared.images}", f"--annotations={prepared.annotations}"]
    flags += [f"--output_dir={prepared.out}", "--num_shards=2", "--verify"]
    assert prepare_coco.run(flags) == 0
    assert "already prepared, verified (records by checksum; pictures by their contents)" in capsys.readouterr().out
    for more, said in (
        (["--split_name=test"], "--verify needs a split 'test'"),
        (["--overwrite"], "exclude one another"),
    ):
        assert prepare_coco.run([*flags, *more]) == 2
        assert said in capsys.readouterr().err
    scenes = ["prepare_coco", "--mode=digit_scenes", f"--output_dir={prepared.out / 'none'}", "--verify"]
    assert prepare_coco.run(scenes) == 2 and not (prepared.out / "none").exists()
