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
