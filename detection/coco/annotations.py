"""Categories and images of an annotation file, with the ids that their data set gave them."""

import dataclasses
import json
from collections.abc import Iterable

from dartsminus_tf.foundation.errors import require


@dataclasses.dataclass(frozen=True)
class Labels:
    """What an instances JSON calls things.

    Attributes:
      names: category name by the id that the network predicts.
      category_ids: the data set's own id by the network's, where `prepare_coco` had to renumber.
      image_ids: the same for images.
      num_images: images of the file.
    """

    names: dict[int, str]
    category_ids: dict[int, int]
    image_ids: dict[int, object]
    num_images: int = 0

    def original_category(self, category: int) -> int:
        """The data set's own id of a predicted category."""
        return self.category_ids.get(category, category)

    def in_original_ids(self, entries: Iterable[dict]) -> list[dict]:
        """COCO result entries with the data set's own image and category ids."""
        return [
            entry
            | {
                "image_id": self.image_ids.get(entry["image_id"], entry["image_id"]),
                "category_id": self.original_category(entry["category_id"]),
            }
            for entry in entries
        ]


def read_annotations(path: str | None) -> dict:
    """The instances JSON that evaluation runs against.

    Raises:
      UsageError: it is missing or not an instances JSON.
    """
    try:
        with open(path or "", encoding="utf-8") as file:
            annotations = json.load(file)
        complete = all(annotations[key] for key in ("images", "categories")) and "annotations" in annotations
    except (OSError, ValueError, KeyError, TypeError):
        complete = False
    require(complete, "task.annotation_file must be the instances JSON that prepare_coco wrote", path)
    return annotations


def read_labels(annotation_file: str | None) -> Labels:
    """Labels of an instances JSON that `prepare_coco` wrote; empty ones without a file.

    Raises:
      UsageError: the file is missing or damaged.
    """
    if not annotation_file:
        return Labels({}, {}, {})
    annotations = read_annotations(annotation_file)
    names = {category["id"]: str(category.get("name", category["id"])) for category in annotations["categories"]}
    originals = (
        {entry["id"]: entry["original_id"] for entry in annotations[section] if "original_id" in entry}
        for section in ("categories", "images")
    )
    return Labels(names, *originals, num_images=len(annotations["images"]))
