"""The evaluation path counts right: ground truth handed in as detections scores AP 1."""

import json

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory

from detection import coco_metrics, coco_records, configs, experiment, task
from detection.cli import prepare_coco


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
    return coco_metrics.named_metrics(built.coco_metric.result())


@pytest.fixture(scope="module")
def digits(digit_records, tiny_backbone):
    return build_task(digit_records, tiny_backbone, num_classes=11, size=96)


def test_the_task_of_our_config_is_ours(digits):
    params, built = digits
    assert isinstance(built, task.DartsMinusRetinaNetTask)
    assert isinstance(params.task, configs.DartsMinusRetinaNetTask)


def test_ground_truth_scores_one(digits, capsys):
    params, built = digits
    metrics = evaluate(params, built)
    assert metrics["ap"] == metrics["ap50"] == metrics["ap75"] == 1.0
    assert capsys.readouterr().out == ""  # pycocotools' tables stay off the console
    predictions = built.coco_metric.last_predictions
    assert len({int(p["image_id"]) for p in predictions}) == 4  # the last, partial batch counts too
    per_class = coco_metrics.per_class_ap(params.task.annotation_file, predictions)
    annotations = experiment.read_annotations(params.task.annotation_file)["annotations"]
    present = {a["category_id"] - 1 for a in annotations}
    assert {int(name) for name, value in per_class.items() if value["ap"] is not None} == present
    assert all(per_class[str(digit)] == {"ap": 1.0, "ap50": 1.0} for digit in present)


def test_shifted_boxes_and_labels_off_by_one_do_not(digits):
    """The label-offset trap: every box right, every class one too low, AP nothing."""
    params, built = digits
    assert evaluate(params, built, label_offset=-1)["ap50"] < 0.2
    shifted = evaluate(params, built, shift=4.0)
    assert 0 < shifted["ap"] < 0.9


def test_real_coco_ground_truth_scores_one(coco128, tiny_backbone, tmp_path):
    annotations = next((coco128 / "annotations").glob("*val*.json"))
    coco_records.prepare_split(str(coco128 / "val2017"), str(annotations), str(tmp_path), "val")
    params, built = build_task(tmp_path, tiny_backbone, num_classes=91, size=128)
    metrics = evaluate(params, built)
    assert {metrics[name] for name in ("ap", "ap50", "aps", "apm", "apl")} == {1.0}


def test_per_class_precision_by_hand(tmp_path):
    """Two boxes of one class, one found: precision 1 up to recall 0.5, so AP is 51 of 101 recall points."""
    coco = {
        "images": [{"id": 1, "width": 50, "height": 50, "file_name": "1.jpg"}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": box, "area": 100, "iscrowd": 0}
            for n, box in ((1, [0, 0, 10, 10]), (2, [30, 30, 10, 10]))
        ],
    }
    (tmp_path / "i.json").write_text(json.dumps(coco))
    found = {"image_id": 1, "category_id": 1, "bbox": np.array([0, 0, 10, 10.0]), "score": 0.9, "id": 1}
    expected = pytest.approx(51 / 101, abs=1e-4)
    assert coco_metrics.per_class_ap(str(tmp_path / "i.json"), [found]) == {
        "a": {"ap": expected, "ap50": expected},
        "b": {"ap": None, "ap50": None},
    }


def test_sizes_that_a_set_lacks_are_none():
    output = dict.fromkeys(coco_metrics.NAMES.values(), np.float32(0.5)) | {"APl": np.float32(-1)}
    assert coco_metrics.named_metrics(output)["apl"] is None


def test_category_zero_survives_preparation(coco_folder, tmp_path, capsys):
    images, coco, write = coco_folder
    for entry in coco["categories"]:
        entry["id"] -= 1
    for entry in coco["annotations"]:
        entry["category_id"] -= 1
    flags = [f"--image_dir={images}", f"--annotations={write(coco)}", f"--output_dir={tmp_path / 'out'}"]
    assert prepare_coco.run(["prepare_coco", *flags]) == 0
    assert "task.model.num_classes=3" in capsys.readouterr().out
