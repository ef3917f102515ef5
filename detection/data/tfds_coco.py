"""COCO as TensorFlow Datasets holds it, with COCO's own category ids.

TFDS numbers the 80 categories 0 to 79. Taken as they are, every person would be background, and no output would have
the ids that COCO's annotation files and tools use.
"""

import os
import re
from pathlib import Path

import tensorflow as tf
from official.core import config_definitions as cfg
from official.vision.dataloaders import tfds_detection_decoders

from dartsminus_tf.foundation.errors import UsageError

NAMES = ("coco/2017", "coco/2014")
_UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # of 1..90
CATEGORY_IDS = [number for number in range(1, 91) if number not in _UNUSED]


class Decoder(tfds_detection_decoders.MSCOCODecoder):
    """Model Garden's decoder, with COCO's category ids instead of 0..79, and of encoded images too.

    Encoded, the images of a shuffle buffer take a tenth of the memory and no time: 10,000 pictures of COCO are 9 GB.
    """

    def decode(self, serialized_example: dict) -> dict:
        """See the base class."""
        image = serialized_example["image"]
        if image.dtype == tf.string:
            serialized_example = serialized_example | {"image": tf.io.decode_jpeg(image, channels=3)}
        decoded = super().decode(serialized_example)
        ids = tf.constant(CATEGORY_IDS, tf.int64)
        return decoded | {"groundtruth_classes": tf.gather(ids, decoded["groundtruth_classes"])}


def register() -> None:
    """Makes Model Garden's reader use `Decoder` for `tfds_name: coco/2017`."""
    for name in NAMES:
        tfds_detection_decoders.TFDS_ID_TO_DECODER_MAP[name] = Decoder


def require_prepared(data: cfg.DataConfig) -> None:
    """Checks that the set is on disk; Model Garden's reader would start to download 25 GB.

    Raises:
      UsageError: an unknown or unprepared set or split.
    """
    import tensorflow_datasets as tfds

    if data.tfds_name not in NAMES:
        raise UsageError(f"tfds_name must be one of {', '.join(NAMES)}. Received: {data.tfds_name!r}")
    builder = tfds.builder(data.tfds_name, data_dir=data.tfds_data_dir or None)
    if not Path(builder.data_dir).is_dir():
        raise UsageError(
            f"tfds_name is not prepared; run: tfds build {data.tfds_name} --data_dir=DIR, and set tfds_data_dir=DIR. "
            f"Received: {builder.data_dir}"
        )
    known = sorted(builder.info.splits)
    if data.tfds_split.split("[")[0] not in known:
        raise UsageError(f"tfds_split must be of {', '.join(known)}. Received: {data.tfds_split!r}")


def load(data: cfg.DataConfig) -> tf.data.Dataset:
    """The examples of a prepared set, in file order."""
    import tensorflow_datasets as tfds

    return tfds.load(
        data.tfds_name, split=data.tfds_split, data_dir=data.tfds_data_dir or None, download=False, shuffle_files=False
    )


def annotation_path(data: cfg.DataConfig, model_dir: str) -> str:
    """Where a run keeps the annotations of its split."""
    split = re.sub("[^0-9a-zA-Z]+", "_", data.tfds_split).strip("_")
    return os.path.join(model_dir, f"instances_{split}.json")


def make_annotations(data: cfg.DataConfig) -> dict:
    """The instances JSON of a prepared set, to evaluate against; pixels are not decoded."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(data.tfds_name, data_dir=data.tfds_data_dir or None)
    names = builder.info.features["objects"]["label"].names
    dataset = builder.as_dataset(
        split=data.tfds_split, shuffle_files=False, decoders={"image": tfds.decode.SkipDecoding()}
    )
    categories = [{"id": i, "name": name} for i, name in zip(CATEGORY_IDS, names, strict=True)]
    coco: dict = {"images": [], "annotations": [], "categories": categories}
    for example in dataset:
        height, width = (int(side) for side in tf.io.extract_jpeg_shape(example["image"])[:2])
        image_id, name = int(example["image/id"]), example["image/filename"].numpy().decode()
        coco["images"].append({"id": image_id, "file_name": name, "height": height, "width": width})
        coco["annotations"] += _annotations(example["objects"], image_id, height, width)
    for number, annotation in enumerate(coco["annotations"], start=1):
        annotation["id"] = number  # pycocotools reads id 0 as "unmatched"
    return coco


def _annotations(objects: dict, image_id: int, height: int, width: int) -> list[dict]:
    columns = (objects[key].numpy() for key in ("bbox", "label", "area", "is_crowd"))
    entries = []
    for (top, left, bottom, right), label, area, crowd in zip(*columns, strict=True):
        sides = [left * width, top * height, (right - left) * width, (bottom - top) * height]
        entries.append(
            {
                "image_id": image_id,
                "category_id": CATEGORY_IDS[int(label)],
                "bbox": [float(side) for side in sides],
                "area": float(area),
                "iscrowd": int(crowd),
            }
        )
    return entries
