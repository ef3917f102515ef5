"""COCO's numbers from detections and ground truth, by pycocotools."""

import contextlib
import copy
import dataclasses
import io
from collections.abc import Iterable

import numpy as np
from pycocotools import coco, cocoeval

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.values import read_name

# result.json's names, and the ones that papers and logs use
NAMES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "aps": "APs", "apm": "APm", "apl": "APl"}
_ALL_AREAS, _IOU_50, _IOU_75 = 0, 0, 5


@dataclasses.dataclass(frozen=True)
class ClassResult:
    """One category: its id in the annotation file, name, AP and AP50 (None without boxes), and box count."""

    category_id: int
    name: str
    ap: float | None
    ap50: float | None
    boxes: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
      metrics: `{"ap": ..., ...}` in [0, 1]; None where the set has no box of that size.
      classes: one entry a category, in the order of ids.
      precision: `[10, 101, classes]`, IoU thresholds 0.50 to 0.95 by recall 0 to 1; -1 for a class
        without boxes.
      detections: the COCO result entries that were evaluated.
      images: number of images evaluated.
    """

    metrics: dict[str, float | None]
    classes: list[ClassResult]
    precision: np.ndarray
    detections: list[dict]
    images: int

    @property
    def per_class(self) -> dict[str, dict[str, float | None]]:
        """`{name: {"ap": ..., "ap50": ...}}`."""
        return {entry.name: {"ap": entry.ap, "ap50": entry.ap50} for entry in self.classes}


def ground_truth(instances: dict) -> coco.COCO:
    """pycocotools' index of a parsed instances JSON, into whose annotations an evaluation writes `ignore`."""
    index = coco.COCO()
    index.dataset = instances
    with contextlib.redirect_stdout(io.StringIO()):  # it prints while it indexes
        index.createIndex()
    return index


def evaluate(
    truth: coco.COCO, detections: list[dict], image_ids: Iterable[int], max_detections: int = 100
) -> Evaluation:
    """COCO's bounding-box evaluation.

    `COCOeval.eval["precision"]` is `[IoU 0.5..0.95, recall 0..1, class, area, detections]`; an AP is the mean
    over a slice of it, -1 entries (no such box) left out.

    Args:
      truth: see `ground_truth`.
      detections: entries with `image_id`, `category_id`, `bbox` [x, y, width, height] in pixels, `score`.
      image_ids: the images to evaluate. An image without a detection counts all its boxes as missed, so
        the ids cannot be read off the detections.
      max_detections: best detections an image that count, 100 in COCO.

    Raises:
      UsageError: an image that the annotations do not know.
    """
    image_ids = sorted({int(image) for image in image_ids})
    unknown = [image for image in image_ids if image not in truth.imgs]
    if unknown:
        raise UsageError(f"task.annotation_file knows all but {len(unknown)} images. Received: id {unknown[0]}")
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = cocoeval.COCOeval(truth, _results(truth, detections), iouType="bbox")
        evaluation.params.imgIds = image_ids
        evaluation.params.maxDets = [1, 10, max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]
    whole = precision[..., _ALL_AREAS]
    metrics = {
        "ap": _mean(whole),
        "ap50": _mean(whole[_IOU_50]),
        "ap75": _mean(whole[_IOU_75]),
        **{name: _mean(precision[..., area]) for area, name in enumerate(("aps", "apm", "apl"), start=1)},
    }
    classes = _class_results(truth, evaluation.params.catIds, image_ids, whole)
    return Evaluation(metrics, classes, whole, detections, len(image_ids))


def _results(truth: coco.COCO, detections: list[dict]) -> coco.COCO:
    if detections:
        return truth.loadRes(copy.deepcopy(detections))  # it writes into the entries
    empty = coco.COCO()  # loadRes fails on an empty list
    empty.dataset = {"images": list(truth.imgs.values()), "categories": [], "annotations": []}
    empty.createIndex()
    return empty


def _class_results(truth: coco.COCO, categories, image_ids, precision: np.ndarray) -> list[ClassResult]:
    results = []
    for index, category in enumerate(categories):
        name = read_name(truth.cats[category].get("name")) or str(category)
        boxes = len(truth.getAnnIds(imgIds=image_ids, catIds=[category], iscrowd=False))
        ap, ap50 = _mean(precision[:, :, index]), _mean(precision[_IOU_50, :, index])
        results.append(ClassResult(int(category), name, ap, ap50, boxes))
    return results


def _mean(values: np.ndarray) -> float | None:
    present = values[values > -1]
    return float(present.mean()) if present.size else None


def metrics_line(metrics: dict[str, float | None]) -> str:
    """`AP 0.412  AP50 0.733 ...`; n/a where the set has no such box."""
    shown = {name: "n/a" if value is None else f"{value:.3f}" for name, value in metrics.items() if name in NAMES}
    return "  ".join(f"{NAMES[name]} {value}" for name, value in shown.items())
