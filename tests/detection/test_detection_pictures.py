"""Pictures of detection, in preparation and in prediction: turned, odd, thin, and none at all."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from official.vision.dataloaders import tf_example_decoder
from PIL import Image

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.pictures import reading as pictures
from dartsminus_tf.foundation.pictures.reading import PictureError
from detection.coco.annotations import Labels
from detection.coco.boxes import Boxes
from detection.coco.pictures import MAX_ASPECT, is_too_thin
from detection.data import samples
from detection.data.records import images_left_out, prepare_split
from detection.run import prediction
from tests.odd_pictures import BAD, SHOWN, encoded, save_turned, stored

WIDE = np.kron(SHOWN, np.ones((10, 10, 1), np.uint8))  # 30 x 20 pixels as seen


def decoded(folder: Path) -> dict[int, np.ndarray]:
    files = sorted(str(path) for path in folder.glob("val-*.tfrecord"))
    records = tf.data.TFRecordDataset(files).map(tf_example_decoder.TfExampleDecoder().decode)
    return {int(record["source_id"]): record["image"].numpy() for record in records}


@pytest.mark.parametrize("stated", ["seen", "stored", "wrong", "none"])
def test_boxes_are_meant_for_the_picture_as_it_is_seen(coco_folder, tmp_path, stated):
    """Unless the entry's size is that of the stored pixels alone, which only a quarter turn of no square can tell."""
    images, coco, write = coco_folder
    coco |= {"images": [], "annotations": []}
    for number in range(1, 25):  # eight turns in three formats
        turn, form = (number - 1) % 8 + 1, ("PNG", "TIFF", "WEBP")[(number - 1) // 8]
        save_turned(images / f"{number}.jpg", turn, form, WIDE)
        size = {"seen": (30, 20), "stored": stored(WIDE, turn).shape[1::-1], "wrong": (7, 9)}.get(stated)
        entry = {"id": number, "file_name": f"{number}.jpg"}
        coco["images"].append(entry | (dict(zip(("width", "height"), size, strict=True)) if size else {}))
    stats = prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    kept = {entry["id"]: entry for entry in json.loads((tmp_path / "out" / "instances_val.json").read_text())["images"]}
    for number, pixels in decoded(tmp_path / "out").items():
        turn = (number - 1) % 8 + 1
        as_stored = stated == "stored" and turn >= 5
        np.testing.assert_array_equal(pixels, stored(WIDE, turn) if as_stored else WIDE)
        assert (kept[number]["height"], kept[number]["width"]) == pixels.shape[:2]
    assert len(kept) == 24 and stats["repairs"]["image_turned_upright"] == 3 * (3 if stated == "stored" else 7)


def test_square_photographs_are_turned(coco_folder, tmp_path):
    """Their size cannot say what their boxes are meant for."""
    images, coco, write = coco_folder
    square = np.kron(np.arange(4, dtype=np.uint8).reshape(2, 2, 1) * 60, np.ones((8, 8, 3), np.uint8))
    coco |= {"images": [], "annotations": []}
    for turn in range(1, 9):
        save_turned(images / f"{turn}.jpg", turn, "JPEG", square, quality=98, subsampling=0)
        coco["images"].append({"id": turn, "file_name": f"{turn}.jpg", "width": 16, "height": 16})
    prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    found = decoded(tmp_path / "out")
    assert len(found) == 8 and all(np.abs(pixels.astype(int) - square).max() < 8 for pixels in found.values())


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_in_preparation_and_prediction(coco_folder, tmp_path, form):
    images, coco, write = coco_folder
    ramp = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 54
    Image.fromarray(ramp).save(images / "1.jpg", format=form)
    prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    expected = np.repeat((ramp >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(decoded(tmp_path / "out")[1], expected)
    np.testing.assert_array_equal(samples.read_image(images / "1.jpg"), expected)


def test_bad_and_thin_pictures_are_left_out_of_a_preparation(coco_folder, tmp_path):
    images, coco, write = coco_folder
    for kind, (make, _) in BAD.items():
        make(images / f"{kind}.jpg")
    thin = [(3000, 2), (2, 3000), (51, 1), (1, 51), (1021, 20)]
    for size in thin:
        (images / f"{size}.jpg").write_bytes(encoded("PNG", np.zeros((*size, 3), np.uint8)))
    bad = [f"{name}.jpg" for name in (*BAD, *thin)]
    coco["images"] += [{"id": n, "file_name": name, "width": 9, "height": 9} for n, name in enumerate(bad, start=9)]
    stats = prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    repairs = {name: count for name, count in stats["repairs"].items() if name.startswith("image_")}
    # What is not there is missing, in a circle of links too.
    assert repairs == {"image_missing": 2, "image_unreadable": len(BAD) - 2, "image_too_thin": len(thin)}
    assert stats["left_out"] == sorted(bad) and images_left_out(stats) == len(bad)
    assert sorted(decoded(tmp_path / "out")) == [1, 2, 3]


@pytest.mark.parametrize("longest", [MAX_ASPECT, MAX_ASPECT + 1])
def test_what_is_not_too_thin_has_a_row_in_the_smallest_input(longest):
    """An input's sides are multiples of 32 at least; Model Garden rounds the scaled sides to even at a half."""
    assert is_too_thin(longest, 1) == is_too_thin(1, longest) == (longest > MAX_ASPECT)
    assert np.rint(32 / MAX_ASPECT) == 1


def test_a_name_that_is_not_utf8_is_prepared(coco_folder, tmp_path):
    """JSON can say it: Python writes and reads such bytes as lone surrogates."""
    images, coco, write = coco_folder
    os.rename(os.fsencode(images / "1.jpg"), os.fsencode(images) + b"/\xe9.jpg")
    coco["images"][0]["file_name"] = "\udce9.jpg"
    coco["images"][1]["file_name"] = "\ud800.jpg"  # no file can be called so
    stats = prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    assert stats["repairs"]["image_missing"] == 1 and sorted(decoded(tmp_path / "out")) == [1, 3]


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_prediction_sees_pictures_as_people_do(tmp_path, turn, form):
    save_turned(tmp_path / "a.png", turn, form, SHOWN)
    np.testing.assert_array_equal(samples.file_sample(tmp_path / "a.png", 1).image, SHOWN)


def test_prediction_decodes_a_plain_jpeg_as_training_does(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG"))
    image = samples.read_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(image, tf.io.decode_image(encoded("JPEG")))
    assert not np.array_equal(image, pictures.read(tmp_path / "a.jpg"))


@pytest.fixture
def predict(monkeypatch, tmp_path):
    """`predict` with a detector that finds one box, of the size of the image."""

    def detect(image: np.ndarray) -> Boxes:
        height, width, _ = image.shape
        return Boxes(np.array([[0.0, 0.0, height, width]]), np.array([1]), np.array([0.9]))

    monkeypatch.setattr(prediction.serving, "latest_detector", lambda *_: (detect, 1))
    run = tmp_path / "run"
    return lambda source, **params: prediction.predict(
        SimpleNamespace(task=SimpleNamespace(validation_data=None)), str(run), Labels(), source, 9, 0.3
    )


def test_prediction_over_many_inputs_gives_results_for_the_good_ones(tmp_path, capsys, predict):
    folder = tmp_path / "in"
    folder.mkdir()
    for kind, (make, _) in BAD.items():
        make(folder / f"{kind}.JPG")
    (folder / "thin.png").write_bytes(encoded("PNG", np.zeros((3000, 2, 3), np.uint8)))
    save_turned(folder / "good 1.Png", 6, "PNG", WIDE)
    (folder / "good[2].tif").write_bytes(encoded("TIFF"))
    Path(os.fsdecode(os.fsencode(folder) + b"/good\xe9.jpg")).write_bytes(encoded("JPEG"))
    for name in ("._x.jpg", "Thumbs.db", "notes.txt", "b.heic"):
        (folder / name).write_bytes(b"x")
    done = predict(str(folder))
    assert (done.images, done.unreadable, done.detections) == (3, len(BAD) + 1, 3)
    results = json.loads((tmp_path / "run" / "predictions" / "results.json").read_text())
    boxes = {entry["file_name"]: entry["bbox"][2:] for entry in results}
    assert boxes == {"good 1.Png": [30, 20], "good[2].tif": [20, 30], "good\udce9.jpg": [20, 30]}
    named = json.loads((tmp_path / "run" / "predictions" / "unreadable.json").read_text())
    assert named == sorted(str(folder / name) for name in [*(f"{kind}.JPG" for kind in BAD), "thin.png"])
    said = capsys.readouterr().err
    assert f"left out: {folder}/thin.png: 2x3000 pixels are too thin" in said
    assert f"pictures left out: {len(BAD) + 1}" in said
    assert "passed over 2 files that are no pictures by their ending: .heic 1, .txt 1\n" in said
    assert len(list((tmp_path / "run" / "predictions").glob("good*.png"))) == 3


def test_a_prediction_of_bad_pictures_alone_is_refused_and_they_are_named(tmp_path, capsys, predict):
    (tmp_path / "a.png").write_bytes(encoded("PNG", np.zeros((2, 3000, 3), np.uint8)))
    with pytest.raises(UsageError, match="no readable image"):
        predict(str(tmp_path / "a.png"))
    assert "3000x2 pixels are too thin" in capsys.readouterr().err


def test_a_thin_record_of_an_older_preparation_is_left_out(tmp_path, predict, monkeypatch):
    shapes = [(20, 30), (2, 3000), (40, 30)]
    records = [samples.Sample(np.zeros((*shape, 3), np.uint8), n, f"{n:012d}") for n, shape in enumerate(shapes)]
    monkeypatch.setattr(samples, "data_samples", lambda data: iter(records))
    done = predict(None)
    assert (done.images, done.unreadable) == (2, 1)
    assert json.loads((tmp_path / "run" / "predictions" / "unreadable.json").read_text()) == ["000000000001"]


@pytest.mark.parametrize("kind", BAD)
def test_reading_one_bad_picture_names_it(tmp_path, kind):
    BAD[kind][0](tmp_path / "a.jpg")
    with pytest.raises(PictureError, match="a.jpg"):
        samples.file_sample(tmp_path / "a.jpg", 1)
