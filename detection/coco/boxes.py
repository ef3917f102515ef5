"""Boxes of one image, found or true."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image.

    Attributes:
      yxyx: `[K, 4]` in pixels of the original image.
      classes: `[K]` category ids.
      scores: `[K]` in [0, 1]; empty for ground truth.
    """

    yxyx: np.ndarray
    classes: np.ndarray
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def above(self, threshold: float) -> "Boxes":
        """Those with a score of at least `threshold`, best first."""
        order = [i for i in np.argsort(-self.scores, kind="stable") if self.scores[i] >= threshold]
        return Boxes(self.yxyx[order], self.classes[order], self.scores[order])

    def entries(self, image: dict) -> list[dict]:
        """COCO result entries: the keys of `image`, and bbox [x, y, w, h] in pixels."""
        top, left, bottom, right = np.asarray(self.yxyx).reshape(-1, 4).T
        xywh = np.stack([left, top, right - left, bottom - top], axis=1).tolist()
        found = zip(np.asarray(self.classes).tolist(), xywh, np.asarray(self.scores).tolist(), strict=True)
        return [image | {"category_id": int(name), "bbox": box, "score": score} for name, box, score in found]

    @classmethod
    def of_entries(cls, entries: list[dict]) -> "Boxes":
        """Those of COCO result entries, the reverse of `entries`."""
        xywh = np.array([entry["bbox"] for entry in entries], float).reshape(-1, 4)
        yxyx = np.stack([xywh[:, 1], xywh[:, 0], xywh[:, 1] + xywh[:, 3], xywh[:, 0] + xywh[:, 2]], axis=1)
        classes = np.array([entry["category_id"] for entry in entries], int)
        return cls(yxyx, classes, np.array([entry["score"] for entry in entries], float))
