"""Each repair by itself, and what is beyond repair."""

import copy

import numpy as np
import pytest
from PIL import Image

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.load import load_annotations
from detection.coco.repair import repair


def test_sound_data_is_left_alone(coco_folder):
    images, coco, _ = coco_folder
    before = copy.deepcopy(coco)
    repaired, counts = repair(coco, str(images))
    assert counts == {}
    assert coco == before
    assert [a["bbox"] for a in repaired["annotations"]] == [[2, 3, 10, 12], [20, 5, 15, 20], [0, 0, 40, 30]]
    assert [a["iscrowd"] for a in repaired["annotations"]] == [0, 1, 0]
    assert [a["area"] for a in repaired["annotations"]] == [120, 300, 1200]


@pytest.mark.parametrize(
    "change, counted, boxes",
    [
        ({"bbox": [-5, 3, 10, 12]}, "box_clipped", [[0, 3, 5, 12]]),
        ({"bbox": [35, 25, 10, 10]}, "box_clipped", [[35, 25, 5, 5]]),
        ({"bbox": [50, 3, 10, 12]}, "box_empty", []),
        ({"bbox": [2, 3, 0, 12]}, "box_empty", []),
        ({"bbox": [2, 3, -4, 12]}, "box_empty", []),
        ({"bbox": [2, 3, 10]}, "box_malformed", []),
        ({"bbox": [2, 3, float("nan"), 4]}, "box_malformed", []),
        ({"bbox": None}, "box_malformed", []),
        ({"category_id": 99}, "annotation_of_unknown_category", []),
        ({"image_id": 99}, "annotation_of_unknown_image", []),
        ({"image_id": [1]}, "annotation_of_unknown_image", []),
        ({"id": 0}, "annotation_id_renumbered", [[2, 3, 10, 12]]),
        ({"id": None}, "annotation_id_renumbered", [[2, 3, 10, 12]]),
    ],
)
def test_one_annotation(coco_folder, change, counted, boxes):
    images, coco, _ = coco_folder
    coco["annotations"][0] |= change
    repaired, counts = repair(coco, str(images))
    assert counts == {counted: 1}
    assert [a["bbox"] for a in repaired["annotations"]] == boxes + [[20, 5, 15, 20], [0, 0, 40, 30]]


def test_repeated_annotation_goes_and_a_clashing_id_is_renumbered(coco_folder):
    images, coco, _ = coco_folder
    first = coco["annotations"][0]
    coco["annotations"] += [dict(first), first | {"bbox": [1, 1, 4, 4]}]
    repaired, counts = repair(coco, str(images))
    assert counts == {"annotation_duplicate": 1, "annotation_id_renumbered": 1}
    ids = [a["id"] for a in repaired["annotations"]]
    assert len(ids) == len(set(ids)) == 4


def test_missing_and_broken_images_go_with_their_boxes(coco_folder):
    images, coco, _ = coco_folder
    (images / "2.jpg").unlink()
    whole = (images / "1.jpg").read_bytes()
    (images / "1.jpg").write_bytes(whole[: len(whole) // 2])
    repaired, counts = repair(coco, str(images))
    assert counts == {"image_missing": 1, "image_unreadable": 1, "annotation_of_absent_image": 3}
    assert [image["id"] for image in repaired["images"]] == [3]


def test_image_size_follows_the_file(coco_folder):
    images, coco, _ = coco_folder
    coco["images"][0] |= {"width": 400, "height": None}
    repaired, counts = repair(coco, str(images))
    assert counts == {"image_size_corrected": 1}
    assert (repaired["images"][0]["width"], repaired["images"][0]["height"]) == (40, 30)


def test_text_image_ids_become_numbers(coco_folder):
    images, coco, _ = coco_folder
    coco["images"][0]["id"] = coco["annotations"][0]["image_id"] = coco["annotations"][1]["image_id"] = "left"
    repaired, counts = repair(coco, str(images))
    assert counts == {"image_id_renumbered": 1}
    image = repaired["images"][0]
    assert image["original_id"] == "left"
    assert [a["image_id"] for a in repaired["annotations"]] == [image["id"], image["id"], 2]


def test_duplicate_image_goes(coco_folder):
    images, coco, _ = coco_folder
    coco["images"].append(dict(coco["images"][0]))
    repaired, counts = repair(coco, str(images))
    assert counts == {"image_duplicate": 1}
    assert len(repaired["images"]) == 3


def test_category_zero_moves_every_class_off_background(coco_folder):
    images, coco, _ = coco_folder
    coco["categories"][0]["id"] = coco["annotations"][0]["category_id"] = 0
    repaired, counts = repair(coco, str(images))
    assert counts == {"category_renumbered": 2}
    assert [(c["id"], c["original_id"]) for c in repaired["categories"]] == [(1, 0), (2, 7)]
    assert [a["category_id"] for a in repaired["annotations"]] == [1, 2, 2]


def test_another_picture_format_is_readable(coco_folder):
    images, coco, _ = coco_folder
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(images / "3.bmp")
    coco["images"][2]["file_name"] = "3.bmp"
    assert repair(coco, str(images))[1] == {}


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "must be a JSON file"),
        ("[]", "must hold a JSON object"),
        ('{"images": []}', "must be a list of objects"),
        ('{"images": {}, "annotations": [], "categories": []}', "must be a list of objects"),
        ('{"images": [1], "annotations": [], "categories": []}', "must be a list of objects"),
        ('{"images": [], "annotations": [], "categories": []}', "must name images and categories"),
    ],
)
def test_wrong_structure_is_fatal(coco_folder, text, message):
    _, _, write = coco_folder
    with pytest.raises(UsageError, match=message):
        load_annotations(write(text))


def test_no_image_at_all_is_fatal(coco_folder, tmp_path):
    _, coco, _ = coco_folder
    with pytest.raises(UsageError, match="has none of the 3 images"):
        repair(coco, str(tmp_path / "nowhere"))
