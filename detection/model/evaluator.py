"""The evaluator that Model Garden's task feeds batch by batch, on `coco.metrics`; it keeps the outcome."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from detection.coco import metrics as coco_metrics
from detection.coco.boxes import Boxes

Batch = dict[str, np.ndarray]
_KEYS = ("source_id", "num_detections", "detection_boxes", "detection_classes", "detection_scores", "image_info")


class RecordingEvaluator:
    """Has the interface of Model Garden's `COCOEvaluator`, and differs in what it counts.

    That one takes the padding of its fixed-size output for detections of class 0, and finds the images to
    evaluate by that. Here only real detections count, and every image that was seen is evaluated.

    Args:
      instances: the parsed instances JSON, the truth.
      max_detections: best detections an image that count.
    """

    name = "coco_metric"

    def __init__(self, instances: dict, max_detections: int = 100):
        self._ground_truth = coco_metrics.ground_truth(instances)
        self._max_detections = max_detections
        self._batches: list[Batch] = []
        self.last: coco_metrics.Evaluation | None = None

    def reset_states(self) -> None:
        """Forgets the batches, and keeps `last`."""
        self._batches = []

    def update_state(self, groundtruths: object, predictions: Mapping[str, tf.Tensor]) -> None:
        """Adds a batch, whose boxes are [ymin, xmin, ymax, xmax] in pixels of the network's input.

        Args:
          groundtruths: not used; the instances JSON is the truth, crowd boxes and all.
          predictions: `source_id` [N], `num_detections` [N], `detection_boxes` [N, K, 4], `detection_classes` and
            `detection_scores` [N, K], `image_info` [N, 4, 2]; of each a tuple where there are several replicas.
        """
        del groundtruths
        self._batches.append({key: _as_array(predictions[key]) for key in _KEYS})

    def result(self) -> dict[str, np.float32]:
        """COCO metrics by their usual names, -1 where the set has no such box."""
        detections = [entry for batch in self._batches for entry in coco_entries(batch)]
        image_ids = [int(image) for batch in self._batches for image in batch["source_id"]]
        self.last = coco_metrics.evaluate(self._ground_truth, detections, image_ids, self._max_detections)
        self.reset_states()
        return {
            coco_metrics.NAMES[name]: np.float32(-1 if value is None else value)
            for name, value in self.last.metrics.items()
        }


def _as_array(value: tf.Tensor | tuple[tf.Tensor, ...]) -> np.ndarray:
    return np.concatenate([v.numpy() for v in value]) if isinstance(value, tuple) else value.numpy()


def coco_entries(batch: Batch) -> list[dict]:
    """COCO result entries of a batch, in pixels of the original images.

    Boxes are cut to their image, which Model Garden leaves out: the network's input goes on beyond it as padding.
    """
    scale, size = (np.tile(batch["image_info"][:, row : row + 1], 2) for row in (2, 0))
    yxyx = (batch["detection_boxes"].astype(np.float32) / scale).clip(0, size)
    entries = []
    for row, (image, count) in enumerate(zip(batch["source_id"], batch["num_detections"], strict=True)):
        columns = yxyx[row], batch["detection_classes"][row], batch["detection_scores"][row]
        entries += Boxes(*(column[: int(count)] for column in columns)).entries({"image_id": int(image)})
    return entries
