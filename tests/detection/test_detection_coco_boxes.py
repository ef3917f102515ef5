"""Boxes in every form that annotation tools write: read right, refused by name, never lost without a word."""

import json

import numpy as np
import pytest
from pycocotools import mask

from dartsminus_tf.foundation.errors import UsageError
from detection.cli import prepare_coco
from detection.coco.repair import repair

OTHERS = [[20, 5, 15, 20], [0, 0, 40, 30]]


def pixels(*boxes) -> np.ndarray:
    drawn = np.zeros((30, 40), np.uint8, order="F")
    for left, top, width, height in boxes:
        drawn[top : top + height, left : left + width] = 1
    return drawn


def compressed(*boxes) -> dict:
    runs = mask.encode(pixels(*boxes))
    return {"size": runs["size"], "counts": runs["counts"].decode()}


def uncompressed(*boxes) -> dict:
    flat = pixels(*boxes).flatten(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    return {"size": [30, 40], "counts": [int(n) for n in np.diff([0, *ends, flat.size])]}


def boxes_of(coco_folder, **change):
    """Boxes, and what was counted, with the first annotation changed; `...` takes a key away."""
    images, coco, _ = coco_folder
    entry = coco["annotations"][0] | change
    coco["annotations"][0] = {key: value for key, value in entry.items() if value is not ...}
    repaired, counts = repair(coco, str(images))
    return [a["bbox"] for a in repaired["annotations"]], counts


@pytest.mark.parametrize(
    "value",
    [
        "[2, 3, 10, 12]",
        "2,3,10,12",
        "2 3 10 12",
        "(2; 3; 10; 12)",
        "[[2,3,10,12]]",
        '["2", "3", "10", "12"]',
        "2.0,3,1e1,12",
    ]
    + [[[2, 3, 10, 12]], [[[2, 3, 10, 12]]], ["2", "3.0", "10", "12"], [2.0, "3", 10, 12.0], ["2,3,10,12"]],
    ids=repr,
)
def test_a_box_as_text_or_nested_is_read(coco_folder, value):
    assert boxes_of(coco_folder, bbox=value) == ([[2, 3, 10, 12], *OTHERS], {})


@pytest.mark.parametrize(
    "value",
    [
        "2,3,10",
        "a box",
        "[]",
        {"x": 2, "y": 3},
        [[2, 3], [10, 12]],
        [2, 3, 10, None],
        [2, 3, 10, True],
        7,
        [],
        [1e300] * 4,
    ],
)
def test_a_box_that_cannot_be_read_is_named(coco_folder, value):
    boxes, counts = boxes_of(coco_folder, bbox=value)
    assert boxes == OTHERS and counts == {"box_malformed": 1}
    assert counts.examples == {"box_malformed": [f"bbox {value!r}"]}


SEGMENTATIONS = {
    "polygon": [[2, 3, 12, 3, 12, 15]],
    "flat": [2, 3, 12, 3, 12, 15, 2, 15],
    "several": [[2, 3, 4, 3, 4, 5], [10, 14, 12, 15, 11, 15]],
    "points": [[[2, 3], [12, 3], [12, 15]]],
    "nested": [[[[2, 3], [12, 3], [12, 15]]]],
    "texts": [["2", "3", "12", "3", "12", "15"]],
    "text": "[[2, 3, 12, 3, 12, 15]]",
    "plain text": "2,3,12,3,12,15",
    "compressed mask": compressed((2, 3, 10, 12)),
    "mask of parts": compressed((2, 3, 1, 1), (11, 14, 1, 1)),
    "mask": uncompressed((2, 3, 10, 12)),
}


@pytest.mark.parametrize("bbox", [..., None, [], "", [0, 0, 0, 0], "none"], ids=repr)
@pytest.mark.parametrize("form", SEGMENTATIONS)
def test_a_missing_box_is_the_one_around_the_segmentation(coco_folder, form, bbox):
    boxes, counts = boxes_of(coco_folder, bbox=bbox, segmentation=SEGMENTATIONS[form])
    assert boxes == [[2, 3, 10, 12], *OTHERS] and counts == {"box_from_segmentation": 1}


def test_a_mask_that_begins_in_the_corner(coco_folder):
    """Its first run, of what is not in it, has length 0."""
    value = {"size": [30, 40], "counts": [0, 120, 1080]}
    assert boxes_of(coco_folder, bbox=..., segmentation=value)[0] == [[0, 0, 4, 30], *OTHERS]


def test_a_box_that_is_there_counts_more_than_its_segmentation(coco_folder):
    assert boxes_of(coco_folder, segmentation=[[20, 20, 25, 20, 25, 25]]) == ([[2, 3, 10, 12], *OTHERS], {})


@pytest.mark.parametrize(
    "value",
    [[[2, 3, 12]], [[2, 3, 12, 3]], [[2, 3, "x", 3, 4, 5]], [[2, 3, 12, 3, 12, 15], 4], [], [[]], "x", 5]
    + [{"size": [30, 40], "counts": text} for text in ("zz", "o", "", "00000", "é", [-1, 1201], [5], [1200.0], None)]
    + [{"size": size, "counts": "0"} for size in (None, [30], "30,40", [10**9, 10**9], [0, 0], [-30, -40])],
    ids=repr,
)
def test_a_segmentation_that_cannot_be_read_is_named(coco_folder, value):
    boxes, counts = boxes_of(coco_folder, bbox=..., segmentation=value)
    assert boxes == OTHERS and counts == {"box_malformed": 1}


def in_fractions(coco) -> None:
    for entry in coco["annotations"]:
        entry["bbox"] = [side / whole for side, whole in zip(entry["bbox"], (40, 30, 40, 30), strict=True)]


@pytest.mark.parametrize("form", [list, str, lambda box: [box], lambda box: ",".join(map(str, box))])
def test_boxes_in_fractions_are_scaled_and_said(coco_folder, form):
    images, coco, _ = coco_folder
    in_fractions(coco)
    for entry in coco["annotations"]:
        entry["bbox"], entry["area"] = form(entry["bbox"]), 0.1
    repaired, counts = repair(coco, str(images))
    np.testing.assert_allclose([a["bbox"] for a in repaired["annotations"]], [[2, 3, 10, 12], *OTHERS])
    np.testing.assert_allclose([a["area"] for a in repaired["annotations"]], [120, 300, 1200])
    assert counts == {"box_scaled_from_fractions": 3}


def test_polygons_in_fractions_are_scaled_and_masks_are_not(coco_folder):
    images, coco, _ = coco_folder
    in_fractions(coco)
    coco["annotations"][0] |= {"bbox": None, "segmentation": [[0.25, 0.5, 0.75, 0.5, 0.75, 1.0]]}
    coco["annotations"][1] |= {"bbox": None, "segmentation": compressed((0, 0, 1, 1))}
    repaired, _ = repair(coco, str(images))
    assert [a["bbox"] for a in repaired["annotations"]] == [[10, 15, 20, 15], [0, 0, 1, 1], [0, 0, 40, 30]]


def test_small_boxes_in_pixels_stay(coco_folder):
    assert boxes_of(coco_folder, bbox=[0.25, 0.5, 0.5, 0.5])[0] == [[0.25, 0.5, 0.5, 0.5], *OTHERS]


@pytest.mark.parametrize(
    "boxes", [[[0.1] * 4, [0.2] * 4, [3, 4, 5, 6]], [[0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], [0, 0, 40, 30]]]
)
def test_fractions_among_pixels_are_refused(coco_folder, boxes):
    images, coco, _ = coco_folder
    for entry, box in zip(coco["annotations"], boxes, strict=True):
        entry["bbox"] = box
    with pytest.raises(UsageError, match="2 of 3 within 0 to 1"):
        repair(coco, str(images))


@pytest.mark.parametrize("box", [[0.9, 0.5, 0.3, 0.2], [0.5, 0.95, 0.1, 0.1], [1, 1, 1, 1]])
def test_fractions_from_the_centre_are_refused(coco_folder, box):
    images, coco, _ = coco_folder
    in_fractions(coco)
    coco["annotations"][1]["bbox"] = box
    with pytest.raises(UsageError, match="centre x"):
        repair(coco, str(images))


LOSSES = {
    "box_malformed": ({"bbox": "a box"}, "bbox 'a box'"),
    "box_empty": ({"bbox": [50, 3, 10, 12]}, "bbox [50, 3, 10, 12]"),
    "annotation_of_unknown_category": ({"category_id": 99}, "category_id 99"),
    "annotation_of_unknown_image": ({"image_id": "x"}, "image_id 'x'"),
}


@pytest.mark.parametrize("reason", LOSSES)
def test_more_than_half_of_the_boxes_lost_is_refused_and_less_is_said(coco_folder, tmp_path, capsys, reason):
    images, coco, write = coco_folder
    change, example = LOSSES[reason]
    flags = ["prepare_coco", f"--image_dir={images}", f"--output_dir={tmp_path / 'out'}"]
    coco["annotations"].append(dict(coco["annotations"][0], id=4, bbox=[1, 1, 5, 5]))
    for entry in coco["annotations"][:2]:
        entry |= change
    assert prepare_coco.run([*flags, f"--annotations={write(coco)}"]) == 0
    assert f"{reason} 2 ({example})" in capsys.readouterr().out
    assert f"{reason} 2 ({example})" in json.loads((tmp_path / "out" / "stats_train.json").read_text())["notes"]
    coco["annotations"][2] |= change
    assert prepare_coco.run([*flags, f"--annotations={write(coco)}", "--split_name=val"]) == 2
    assert "3 of 4 boxes (75 %) would be lost" in (line := capsys.readouterr().err) and f"{reason} 3" in line
    assert not list((tmp_path / "out").glob("*val*"))


def test_the_first_three_reasons_are_named_with_their_share(coco_folder):
    images, coco, _ = coco_folder
    coco["annotations"] = [
        coco["annotations"][0] | change | {"id": number}
        for number, change in enumerate(
            [change for change, _ in LOSSES.values()] + [LOSSES["box_empty"][0], {}], start=1
        )
    ]
    with pytest.raises(UsageError, match=r"5 of 6 boxes \(83 %\)") as refused:
        repair(coco, str(images))
    assert sum(reason in str(refused.value) for reason in LOSSES) == 3
    assert "Received: box_empty 2 (bbox [50, 3, 10, 12]); " in str(refused.value)


def test_boxes_of_pictures_that_are_left_out_are_no_reason_to_refuse(coco_folder):
    """The exit code says it, and a part of a data set can be prepared with the annotations of the whole."""
    images, coco, _ = coco_folder
    for name in ("1.jpg", "2.jpg"):
        (images / name).unlink()
    assert repair(coco, str(images))[1] == {"image_missing": 2, "annotation_of_absent_image": 3}
