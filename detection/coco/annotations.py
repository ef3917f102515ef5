"""An instances JSON as `prepare_coco` writes it, with the ids that its data set gave to categories and images."""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

from dartsminus_tf.foundation.disk.files import write_json
from dartsminus_tf.foundation.errors import UsageError
from detection.coco.load import read_json
from detection.coco.values import read_name


@dataclasses.dataclass(frozen=True)
class Labels:
    """What an instances JSON calls things, and what it holds.

    Attributes:
      names: category name by the id that the network predicts.
      category_ids: the data set's own id by the network's, where `prepare_coco` had to renumber.
      image_ids: the same for images.
      instances: the parsed file, to evaluate against; empty where there is none.
    """

    names: dict[int, str] = dataclasses.field(default_factory=dict)
    category_ids: dict[int, int] = dataclasses.field(default_factory=dict)
    image_ids: dict[int, object] = dataclasses.field(default_factory=dict)
    instances: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def num_images(self) -> int:
        """Images that are annotated."""
        return len(self.instances.get("images", ()))

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


def labels_of(instances: dict) -> Labels:
    """The labels of a parsed instances JSON.

    Where a category's own id is text, which no network returns, the outputs keep the network's ids.
    """
    names = {
        category["id"]: read_name(category.get("name")) or str(category["id"]) for category in instances["categories"]
    }
    categories, images = (
        {entry["id"]: entry["original_id"] for entry in instances[section] if "original_id" in entry}
        for section in ("categories", "images")
    )
    if not all(isinstance(original, int) for original in categories.values()):
        categories = {}
    return Labels(names, categories, images, instances)


def read_labels(annotation_file: str | None) -> Labels:
    """The labels of an instances JSON that `prepare_coco` wrote.

    Raises:
      UsageError: it is missing or not an instances JSON.
    """
    name = "task.annotation_file"
    rule = f"{name} must be the instances JSON that prepare_coco wrote"
    if not annotation_file:
        raise UsageError(f"{rule}. Received: nothing")
    instances = read_json(annotation_file, name)
    if not _is_prepared(instances):
        raise UsageError(f"{rule}. Received: {annotation_file!r}")
    return labels_of(instances)


def _is_prepared(instances: object) -> bool:
    """Whether it has the sections, numbers as ids, which pycocotools compares as they are, and boxes."""
    if not isinstance(instances, dict):
        return False
    keys = {"images": ("id",), "categories": ("id",), "annotations": ("id", "image_id", "category_id")}
    for section, ids in keys.items():
        entries = instances.get(section)
        if not isinstance(entries, list) or not (entries or section == "annotations"):
            return False
        if not all(isinstance(entry, dict) and all(type(entry.get(key)) is int for key in ids) for entry in entries):
            return False
    return all(_has_box(annotation) for annotation in instances["annotations"])


def _has_box(annotation: dict) -> bool:
    box, area = annotation.get("bbox"), annotation.get("area", 0.0)
    numbers = [*box, area] if isinstance(box, list) and len(box) == 4 else [None]
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in numbers)


def write_where_missing(labels: Labels, annotation_file: str) -> None:
    """Write annotations that were made in memory to where the config says that they are."""
    if not Path(annotation_file).is_file():
        write_json(annotation_file, labels.instances)
