"""Records round trip through Model Garden's decoder; the prepared files verify themselves."""

import json

import numpy as np
import pytest
import tensorflow as tf
from official.vision.dataloaders import tf_example_decoder
from PIL import Image

from dartsminus_tf.foundation.errors import UsageError
from detection.data.records import prepare_split


def decoded(folder, split):
    files = sorted(str(p) for p in folder.glob(f"{split}-*.tfrecord"))
    decoder = tf_example_decoder.TfExampleDecoder()
    return {int(r["source_id"].numpy()): r for r in tf.data.TFRecordDataset(files).map(decoder.decode)}


def check_against_annotations(folder, split):
    """Every box of the annotation file is in the records: same class, crowd flag, within half a pixel."""
    coco = json.loads((folder / f"instances_{split}.json").read_text())
    records = decoded(folder, split)
    assert sorted(records) == sorted(image["id"] for image in coco["images"])
    for image in coco["images"]:
        record = records[image["id"]]
        assert record["image"].shape == [image["height"], image["width"], 3]
        expected = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        assert record["groundtruth_classes"].numpy().tolist() == [a["category_id"] for a in expected]
        assert record["groundtruth_is_crowd"].numpy().tolist() == [bool(a["iscrowd"]) for a in expected]
        sides = [image["height"], image["width"]] * 2
        for box, annotation in zip(record["groundtruth_boxes"].numpy() * sides, expected, strict=True):
            x, y, width, height = annotation["bbox"]
            np.testing.assert_allclose(box, [y, x, y + height, x + width], atol=0.5)
    return coco


def test_round_trip_keeps_boxes_ids_and_crowds(coco_folder, tmp_path):
    images, coco, write = coco_folder
    stats = prepare_split(str(images), write(coco), str(tmp_path / "out"), "val", num_shards=2)
    assert stats["images"] == 3 and stats["crowd_boxes"] == 1 and stats["num_classes"] == 8
    assert len(list((tmp_path / "out").glob("val-*-of-00002.tfrecord"))) == 2
    check_against_annotations(tmp_path / "out", "val")


def test_real_coco_round_trip(coco128, tmp_path):
    annotations = next((coco128 / "annotations").glob("*val*.json"))
    stats = prepare_split(str(coco128 / "val2017"), str(annotations), str(tmp_path), "val")
    assert stats["images"] == 32 and stats["num_classes"] == 91 and stats["crowd_boxes"] > 0
    prepared = check_against_annotations(tmp_path, "val")
    source = json.loads(annotations.read_text())
    assert len(prepared["annotations"]) + sum(stats["repairs"].values()) >= len(source["annotations"])


def test_an_image_without_boxes_decodes(coco_folder, tmp_path):
    images, coco, write = coco_folder
    prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    assert decoded(tmp_path / "out", "val")[3]["groundtruth_boxes"].shape == [0, 4]


def test_other_formats_are_stored_as_png(coco_folder, tmp_path):
    images, coco, write = coco_folder
    pixels = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(images / "3.bmp")
    coco["images"][2]["file_name"] = "3.bmp"
    prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    np.testing.assert_array_equal(decoded(tmp_path / "out", "val")[3]["image"], pixels)


def test_second_run_verifies_and_writes_nothing(coco_folder, tmp_path):
    images, coco, write = coco_folder
    out = tmp_path / "out"
    arguments = (str(images), write(coco), str(out), "val")
    assert not prepare_split(*arguments)["skipped"]
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert prepare_split(*arguments)["skipped"]
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == before
    assert [path.name for path in out.glob(".*")] == [".val.lock"]  # no temporary files stay


def test_damage_and_other_input_are_refused_until_overwritten(coco_folder, tmp_path):
    images, coco, write = coco_folder
    out = tmp_path / "out"
    prepare_split(str(images), write(coco), str(out), "val")
    record = next(out.glob("*.tfrecord"))
    record.write_bytes(record.read_bytes()[:-5])
    with pytest.raises(UsageError, match="cut short"):
        prepare_split(str(images), write(coco), str(out), "val")
    coco["annotations"].pop()
    with pytest.raises(UsageError, match="made from other input"):
        prepare_split(str(images), write(coco), str(out), "val")
    stats = prepare_split(str(images), write(coco), str(out), "val", overwrite=True)
    assert stats["boxes"] == 2


def test_an_interrupted_split_is_written_anew(coco_folder, tmp_path):
    images, coco, write = coco_folder
    out = tmp_path / "out"
    prepare_split(str(images), write(coco), str(out), "val", num_shards=3)
    (out / "stats_val.json").unlink()
    prepare_split(str(images), write(coco), str(out), "val")
    assert [p.name for p in out.glob("*.tfrecord")] == ["val-00000-of-00001.tfrecord"]
