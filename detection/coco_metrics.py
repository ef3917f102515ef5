"""COCO's numbers by class and by name, from detections and an annotation file."""

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from official.vision.evaluation import coco_utils
from pycocotools import cocoeval

# result.json's names of what Model Garden's evaluator returns
NAMES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "aps": "APs", "apm": "APm", "apl": "APl"}


def named_metrics(evaluator_output: Mapping[str, Any]) -> dict[str, float | None]:
    """`{"ap": ..., ...}` in [0, 1]; None where COCO says -1: the set has no box of that size."""
    metrics = {}
    for name, key in NAMES.items():
        value = float(np.asarray(evaluator_output[key]))
        metrics[name] = None if value < 0 else round(value, 6)
    return metrics


def per_class_ap(annotation_file: str, predictions: list[dict]) -> dict[str, dict[str, float | None]]:
    """AP and AP50 of each class, which upstream pycocotools computes but does not report.

    `COCOeval.eval["precision"]` is `[IoU 0.5..0.95, recall 0..1, class, area, detections]`; AP is the mean
    over IoU and recall, -1 entries (no such box) left out.

    Args:
      annotation_file: instances JSON.
      predictions: entries of the evaluator's last evaluation.

    Returns:
      `{class name: {"ap": ..., "ap50": ...}}`, None for a class without boxes among the evaluated images.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = coco_utils.COCOWrapper(eval_type="box", annotation_file=annotation_file)
        evaluation = cocoeval.COCOeval(ground_truth, ground_truth.loadRes(predictions), iouType="bbox")
        evaluation.params.imgIds = sorted({int(p["image_id"]) for p in predictions})
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    return {
        str(ground_truth.cats[category].get("name", category)): {
            "ap": _mean(precision[:, :, index, 0, -1]),
            "ap50": _mean(precision[0, :, index, 0, -1]),
        }
        for index, category in enumerate(evaluation.params.catIds)
    }


def _mean(values: np.ndarray) -> float | None:
    present = values[values > -1]
    return round(float(present.mean()), 6) if present.size else None
