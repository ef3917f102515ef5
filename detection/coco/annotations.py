"""An instances JSON as `prepare_coco` writes it, with the ids that its data set gave to categories and images."""

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.files import write_json


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
    """The labels of a parsed instances JSON."""
    names = {category["id"]: str(category.get("name", category["id"])) for category in instances["categories"]}
    originals = (
        {entry["id"]: entry["original_id"] for entry in instances[section] if "original_id" in entry}
        for section in ("categories", "images")
    )
    return Labels(names, *originals, instances)


def read_labels(annotation_file: str | None) -> Labels:
    """The labels of an instances JSON that `prepare_coco` wrote.

    Raises:
      UsageError: it is missing or not an instances JSON.
    """
    try:
        with open(annotation_file or "", encoding="utf-8") as file:
            instances = json.load(file)
        if instances["images"] and instances["categories"] and "annotations" in instances:
            return labels_of(instances)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    missing = "" if os.path.exists(annotation_file or "") else "no such file: "
    rule = f"{missing}task.annotation_file must be the instances JSON that prepare_coco wrote"
    raise UsageError(f"{rule}. Received: {annotation_file!r}")


def write_where_missing(labels: Labels, annotation_file: str) -> None:
    """Write annotations that were made in memory to where the config says that they are."""
    if not Path(annotation_file).is_file():
        write_json(annotation_file, labels.instances)
