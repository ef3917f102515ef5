"""Digit scenes: real digits, disjoint splits, boxes on the ink, a seed that decides everything."""

import json

import numpy as np
import pytest
from PIL import Image

from dartsminus_tf.foundation.errors import UsageError
from detection.data import digit_scenes

OPTIONS = digit_scenes.SceneOptions(canvas=96)


def write(folder, split, seed=0, number=12, **kwargs):
    image_dir, annotations = digit_scenes.write_split(str(folder), split, number, seed, OPTIONS, **kwargs)
    with open(annotations, encoding="utf-8") as file:
        return image_dir, json.load(file)


def test_train_and_val_share_no_digit(tmp_path):
    used = [{a["digit_index"] for a in write(tmp_path, split)[1]["annotations"]} for split in ("train", "val")]
    assert used[0] and used[1]
    assert not used[0] & used[1]


def test_the_pool_is_split_without_rest_and_every_class_is_in_both():
    _, labels = digit_scenes.load_digit_pool()
    train, val = digit_scenes.split_pool(labels)
    assert sorted([*train, *val]) == list(range(len(labels)))
    assert set(labels[train]) == set(labels[val]) == set(range(10))


def test_boxes_lie_inside_and_hardly_overlap(tmp_path):
    _, coco = write(tmp_path, "train")
    by_image = {}
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert x >= 0 and y >= 0 and width > 0 and height > 0
        assert x + width <= OPTIONS.canvas and y + height <= OPTIONS.canvas
        by_image.setdefault(annotation["image_id"], []).append(annotation["bbox"])
    for boxes in by_image.values():
        assert 1 <= len(boxes) <= OPTIONS.max_digits
        for index, box in enumerate(boxes):
            assert all(digit_scenes._overlap(box, other) <= OPTIONS.max_overlap for other in boxes[:index])


def test_the_box_is_tight_around_the_ink():
    alpha = np.zeros((20, 20))
    alpha[4:9, 6:16] = 1.0
    assert digit_scenes._ink_box(alpha) == [6, 4, 10, 5]


def test_labels_name_the_digits(tmp_path):
    _, coco = write(tmp_path, "val")
    _, labels = digit_scenes.load_digit_pool()
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert sorted(names) == list(range(1, 11))
    assert all(names[a["category_id"]] == str(labels[a["digit_index"]]) for a in coco["annotations"])


def test_a_seed_gives_the_same_scenes_and_another_seed_others(tmp_path):
    first, coco = write(tmp_path / "a", "train", seed=5, number=3)
    second, again = write(tmp_path / "b", "train", seed=5, number=3)
    _, other = write(tmp_path / "c", "train", seed=6, number=3)
    assert coco == again
    assert coco["annotations"] != other["annotations"]
    name = coco["images"][0]["file_name"]
    assert np.array_equal(Image.open(f"{first}/{name}"), Image.open(f"{second}/{name}"))


def test_finished_scenes_are_kept_and_others_refused(tmp_path):
    image_dir, coco = write(tmp_path, "train", number=2)
    assert write(tmp_path, "train", number=2) == (image_dir, coco)
    with pytest.raises(UsageError, match="holds other digit scenes"):
        write(tmp_path, "train", number=3)
    assert len(write(tmp_path, "train", number=3, overwrite=True)[1]["images"]) == 3


def test_validation_digits_are_the_classifiers_test_digits():
    """Read from the other package's source of truth without importing it here: in a process of its own."""
    import subprocess
    import sys

    code = (
        "from dartsminus_tf.config import DataConfig; from dartsminus_tf.data.digits import digits_source;"
        "print(digits_source(DataConfig()).test.arrays(8)[0][..., 0].astype(int).sum((1, 2)).tolist())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    pool, labels = digit_scenes.load_digit_pool()
    _, val = digit_scenes.split_pool(labels)
    ours = np.round(pool[val] * 255).reshape(len(val), -1).astype(int).sum(1)
    assert sorted(ours) == sorted(json.loads(printed))
