"""The evaluation path counts right: ground truth handed in as detections scores AP 1."""

import copy
import csv
import json

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory
from official.vision.ops import box_ops
from PIL import Image
from pycocotools import coco, cocoeval

from dartsminus_tf.foundation.errors import UsageError
from detection.cli import prepare_coco
from detection.coco import metrics as coco_metrics
from detection.coco.annotations import Labels, labels_of, read_labels
from detection.coco.boxes import Boxes
from detection.data.records import prepare_split
from detection.model import evaluator, experiment, recipe, task
from detection.run import serving
from detection.show import report


def build_task(folder, saved_model, num_classes, size):
    params = experiment.build_experiment(
        {
            "task": {
                "annotation_file": str(folder / "instances_val.json"),
                "model": {
                    "num_classes": num_classes,
                    "input_size": [size, size, 3],
                    "max_level": 5,
                    "backbone": {"dartsminus": {"saved_model": saved_model}},
                },
                "validation_data": {"input_path": str(folder / "val*.tfrecord"), "global_batch_size": 3},
            }
        }
    )
    return params, task_factory.get_task(params.task)


def truth_as_detections(labels, shift=0.0, label_offset=0):
    """What a perfect detector would return; boxes go to input pixels, as RetinaNet's are."""
    truth = labels["groundtruths"]
    scale = tf.tile(labels["image_info"][:, 2:3, :], [1, 1, 2])
    real = tf.cast(truth["classes"] > 0, tf.float32)
    return {
        "detection_boxes": (truth["boxes"] + shift) * scale,
        "detection_scores": real,
        "detection_classes": truth["classes"] + label_offset,
        "num_detections": tf.reduce_sum(tf.cast(real, tf.int32), axis=1),
        "source_id": truth["source_id"],
        "image_info": labels["image_info"],
    }


def evaluate(params, built, **kwargs):
    built.build_metrics(training=False)
    for _, labels in built.build_inputs(params.task.validation_data):
        built.coco_metric.update_state(labels["groundtruths"], truth_as_detections(labels, **kwargs))
    built.coco_metric.result()
    return built.coco_metric.last.metrics


@pytest.fixture(scope="module")
def digits(digit_records, tiny_backbone):
    return build_task(digit_records, tiny_backbone, num_classes=11, size=96)


def test_the_task_of_our_config_is_ours(digits):
    params, built = digits
    assert isinstance(built, task.DartsMinusRetinaNetTask)
    assert isinstance(params.task, recipe.DartsMinusRetinaNetTask)


def test_ground_truth_scores_one(digits, capsys):
    params, built = digits
    metrics = evaluate(params, built)
    assert [metrics[name] for name in ("ap", "ap50", "ap75")] == pytest.approx([1.0] * 3)
    assert capsys.readouterr().out == ""  # pycocotools' tables stay off the console
    evaluation = built.coco_metric.last
    assert evaluation.images == 4  # the last, partial batch counts too
    per_class = evaluation.per_class
    annotations = read_labels(params.task.annotation_file).instances["annotations"]
    present = {a["category_id"] - 1 for a in annotations}
    assert {int(name) for name, value in per_class.items() if value["ap"] is not None} == present
    assert all(per_class[str(digit)] == pytest.approx({"ap": 1.0, "ap50": 1.0}) for digit in present)


def test_shifted_boxes_and_labels_off_by_one_do_not(digits):
    """The label-offset trap: every box right, every class one too low, AP nothing."""
    params, built = digits
    assert evaluate(params, built, label_offset=-1)["ap50"] < 0.2
    shifted = evaluate(params, built, shift=4.0)
    assert 0 < shifted["ap"] < 0.9


@pytest.fixture(scope="module")
def coco_val(coco128, tiny_backbone, tmp_path_factory):
    """The 32 real validation images, prepared, with their task."""
    folder = tmp_path_factory.mktemp("coco_val")
    annotations = next((coco128 / "annotations").glob("*val*.json"))
    prepare_split(str(coco128 / "val2017"), str(annotations), str(folder), "val")
    return annotations, *build_task(folder, tiny_backbone, num_classes=91, size=128)


def test_real_coco_ground_truth_scores_one(coco_val):
    _, params, built = coco_val
    metrics = evaluate(params, built)
    assert [metrics[name] for name in ("ap", "ap50", "aps", "apm", "apl")] == pytest.approx([1.0] * 5)


def noisy_detections(annotations, seed=0) -> list[dict]:
    """Detections of all kinds: shifted, missed, doubled, of the wrong class, and some inside crowds."""
    generator = np.random.default_rng(seed)
    coco = json.loads(annotations.read_text())
    ids = [category["id"] for category in coco["categories"]]
    found = []
    for annotation in coco["annotations"]:
        for _ in range(generator.integers(0, 3)):
            x, y, width, height = annotation["bbox"]
            shift = generator.normal(0, 0.08, 4) * [width, height, width, height]
            box = np.maximum(np.array([x, y, width, height]) + shift, 1e-3).astype(float)
            category = annotation["category_id"] if generator.random() < 0.8 else int(generator.choice(ids))
            found.append(
                {"image_id": annotation["image_id"], "category_id": category, "bbox": box.tolist()}
                | {"score": float(generator.random())}
            )
    return found


def test_our_numbers_are_pycocotools_by_hand(coco_val, capsys):
    """The 12 numbers of `COCOeval.summarize` on the original file, against ours on the prepared one."""
    annotations, params, _ = coco_val
    found = noisy_detections(annotations)
    truth = coco.COCO(str(annotations))
    by_hand = cocoeval.COCOeval(truth, truth.loadRes(copy.deepcopy(found)), "bbox")
    by_hand.evaluate()
    by_hand.accumulate()
    by_hand.summarize()
    capsys.readouterr()
    ours = coco_metrics.evaluate(
        coco_metrics.ground_truth(read_labels(params.task.annotation_file).instances), found, truth.getImgIds()
    )
    assert 0.05 < ours.metrics["ap"] < 0.9
    for name, value in zip(coco_metrics.NAMES, by_hand.stats[:6], strict=True):
        assert ours.metrics[name] == pytest.approx(value, abs=1e-6), name
    crowds = [a for a in json.loads(annotations.read_text())["annotations"] if a["iscrowd"]]
    assert crowds and {c["image_id"] for c in crowds} <= {d["image_id"] for d in found}


def test_an_image_without_a_detection_counts_as_missed(coco_val):
    """Model Garden reads the images to evaluate off the detections; then an empty image would raise the AP."""
    annotations, params, _ = coco_val
    truth = coco_metrics.ground_truth(read_labels(params.task.annotation_file).instances)
    perfect = [
        {key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for a in truth.dataset["annotations"]
        if not a["iscrowd"]
    ]
    some = [entry for entry in perfect if entry["image_id"] % 2]
    assert coco_metrics.evaluate(truth, perfect, truth.getImgIds()).metrics["ap"] == pytest.approx(1.0)
    assert coco_metrics.evaluate(truth, some, truth.getImgIds()).metrics["ap"] < 0.8
    nothing = coco_metrics.evaluate(truth, [], truth.getImgIds())
    assert nothing.metrics["ap"] == nothing.metrics["ap50"] == 0.0 and nothing.images == 32
    with pytest.raises(UsageError, match="knows all but 1 images. Received: id 5"):
        coco_metrics.evaluate(truth, perfect, [*truth.getImgIds(), 5])


def test_padding_of_the_output_is_no_detection():
    batch = {
        "source_id": np.array([b"7"]),
        "num_detections": np.array([1]),
        "detection_boxes": np.array([[[2.0, 4, 8, 16], [0, 0, 0, 0]]]),
        "detection_classes": np.array([[3, 0]]),
        "detection_scores": np.array([[0.5, 0.0]]),
        "image_info": np.array([[[5.0, 6.0], [64, 64], [2, 2], [0, 0]]]),
    }
    entries = evaluator.coco_entries(batch)
    assert entries == [{"image_id": 7, "category_id": 3, "bbox": [2.0, 1.0, 4.0, 3.0], "score": 0.5}]  # cut at x = 6


def test_boxes_survive_resizing_padding_and_encoding(coco_val):
    """Annotation -> reader -> anchor targets -> decoded -> original pixels, to half a pixel, for every matched box."""
    _, params, built = coco_val
    truth = coco_metrics.ground_truth(read_labels(params.task.annotation_file).instances)
    checked = 0
    for _, labels in built.build_inputs(params.task.validation_data):
        for row, image in enumerate(labels["groundtruths"]["source_id"].numpy()):
            scale = np.tile(labels["image_info"].numpy()[row, 2], 2)
            boxes = [a["bbox"] for a in truth.imgToAnns[int(image)]]
            expected = np.array([[y, x, y + h, x + w] for x, y, w, h in boxes]).reshape(-1, 4)
            for level, anchors in labels["anchor_boxes"].items():
                flat = [labels[key][level].numpy()[row].reshape(-1, 4) for key in ("box_targets",)]
                matched = labels["cls_targets"][level].numpy()[row].reshape(-1) > 0
                decoded = box_ops.decode_boxes(flat[0], tf.reshape(anchors[row], [-1, 4])).numpy()[matched] / scale
                for box in decoded:
                    checked += 1
                    assert np.abs(expected - box).max(axis=1).min() < 0.5
    assert checked > 100


def test_a_rectangle_stays_where_its_box_is(tiny_backbone, digit_records):
    """Pixels and coordinates are moved by the same amount, also in an image of odd sides."""
    params, _ = build_task(digit_records, tiny_backbone, num_classes=11, size=128)
    image = np.zeros((211, 333, 3), np.uint8)
    top, left, bottom, right = 60, 101, 160, 251
    image[top:bottom, left:right] = 255
    pixels, info = serving.Detector(None, params, Labels())._scaled(tf.constant(image))
    light = pixels.numpy()[..., 0] - pixels.numpy()[..., 0].min()
    light[int(np.ceil(211 * info.numpy()[2, 0])) :] = 0  # below the image is padding, which is grey
    rows, columns = light.sum(1), light.sum(0)
    centre = [((np.arange(128) + 0.5) * mass).sum() / mass.sum() for mass in (rows, columns)]
    expected = np.array([(top + bottom) / 2, (left + right) / 2]) * info.numpy()[2]
    np.testing.assert_allclose(centre, expected, atol=0.5)


def test_per_class_precision_by_hand():
    """Two boxes of one class, one found: precision 1 up to recall 0.5, so AP is 51 of 101 recall points."""
    annotations = {
        "images": [{"id": 1, "width": 50, "height": 50, "file_name": "1.jpg"}],
        "categories": [{"id": 11, "name": "a"}, {"id": 13, "name": "b"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 11, "bbox": box, "area": 100, "iscrowd": 0}
            for n, box in ((1, [0, 0, 10, 10]), (2, [30, 30, 10, 10]))
        ],
    }
    found = {"image_id": 1, "category_id": 11, "bbox": [0, 0, 10, 10.0], "score": 0.9}
    evaluation = coco_metrics.evaluate(coco_metrics.ground_truth(annotations), [found], [1])
    expected = pytest.approx(51 / 101, abs=1e-9)
    assert evaluation.per_class == {"a": {"ap": expected, "ap50": expected}, "b": {"ap": None, "ap50": None}}
    assert evaluation.metrics["aps"] == expected and evaluation.metrics["apl"] is None  # no large box in the set
    assert coco_metrics.metrics_line(evaluation.metrics).endswith("APl n/a")


def test_the_report_has_the_data_sets_own_ids(tmp_path):
    """Ids 0 and 5 were renumbered to 1 and 2 in preparation; no output shows that."""
    annotations = {
        "images": [{"id": 9, "width": 50, "height": 50, "file_name": "1.jpg", "original_id": "left"}],
        "categories": [{"id": 1, "name": "a", "original_id": 0}, {"id": 2, "name": "b", "original_id": 5}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 2, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0},
        ],
    }
    found = {"image_id": 9, "category_id": 2, "bbox": [0, 0, 10, 10.0], "score": 0.9}
    evaluation = coco_metrics.evaluate(coco_metrics.ground_truth(annotations), [found], [9])
    report.write(tmp_path, evaluation, labels_of(annotations), Image.new("RGB", (8, 8)))
    assert json.loads((tmp_path / "detections.json").read_text()) == [found | {"image_id": "left", "category_id": 5}]
    rows = list(csv.DictReader((tmp_path / "per_class.csv").read_text().splitlines()))
    assert rows == [
        {"id": "5", "class": "b", "boxes": "1", "ap": "1.0", "ap50": "1.0"},
        {"id": "0", "class": "a", "boxes": "0", "ap": "", "ap50": ""},
    ]
    head, _, *table = (tmp_path / "per_class.md").read_text().splitlines()
    assert head.endswith("(1 images)")
    assert table == [
        "| id | class | boxes | AP   | AP50 |",
        "| -- | ----- | ----- | ---- | ---- |",
        "| 5  | b     | 1     | 1.00 | 1.00 |",
        "| 0  | a     | 0     | -    | -    |",
    ]
    assert Image.open(tmp_path / "pr_curves.png").width > 800


def test_category_zero_survives_preparation(coco_folder, tmp_path, capsys):
    images, coco, write = coco_folder
    for entry in coco["categories"]:
        entry["id"] -= 1
    for entry in coco["annotations"]:
        entry["category_id"] -= 1
    flags = [f"--image_dir={images}", f"--annotations={write(coco)}", f"--output_dir={tmp_path / 'out'}"]
    assert prepare_coco.run(["prepare_coco", *flags]) == 0
    assert "task.model.num_classes=3" in capsys.readouterr().out


def test_boxes_as_coco_entries_and_back():
    boxes = Boxes(np.array([[1.0, 2.0, 11.0, 5.0], [0.0, 0.5, 4.0, 9.0]]), np.array([7, 3]), np.array([0.5, 0.25]))
    entries = boxes.entries({"image_id": 12})
    assert entries[0] == {"image_id": 12, "category_id": 7, "bbox": [2.0, 1.0, 3.0, 10.0], "score": 0.5}
    back = Boxes.of_entries(entries)
    for ours, theirs in zip(
        (back.yxyx, back.classes, back.scores), (boxes.yxyx, boxes.classes, boxes.scores), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert Boxes.of_entries([]).yxyx.shape == (0, 4) and Boxes.of_entries([]).entries({}) == []
