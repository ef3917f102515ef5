"""Images one by one, for pictures and predictions: from a run's data or from files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from official.core import config_definitions as cfg
from official.vision.dataloaders import tf_example_decoder
from PIL import Image

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.boxes import Boxes
from detection.data import tfds_coco
from detection.data.shards import input_files

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass(frozen=True)
class Sample:
    """An image `[H, W, 3]` uint8, its COCO id, a name for files, and its boxes if they are known."""

    image: np.ndarray
    image_id: int
    name: str
    truth: Boxes | None = None


def data_samples(data: cfg.DataConfig, limit: int | None = None) -> Iterator[Sample]:
    """Images of TFRecords or a TFDS set with their ground truth (crowd boxes left out of it), in file order.

    Records that cannot be read are left out.
    """
    if data.tfds_name:
        decoder = tfds_coco.Decoder()
        dataset = tfds_coco.load(data)
    else:
        decoder = tf_example_decoder.TfExampleDecoder()
        dataset = tf.data.TFRecordDataset(sorted(input_files(data.input_path)))
    for record in dataset.map(decoder.decode).ignore_errors().take(-1 if limit is None else limit):
        image = record["image"].numpy()
        single = ~record["groundtruth_is_crowd"].numpy()
        yxyx = record["groundtruth_boxes"].numpy() * np.tile(image.shape[:2], 2)
        truth = Boxes(yxyx[single], record["groundtruth_classes"].numpy()[single])
        number = int(record["source_id"].numpy())
        yield Sample(image, number, f"{number:012d}", truth)


def image_files(path: str) -> list[Path]:
    """One image file, or those of a folder in name order.

    Raises:
      UsageError: there is none.
    """
    place = Path(path)
    files = [place] if place.is_file() else sorted(p for p in place.glob("*") if p.suffix.lower() in _SUFFIXES)
    if not files:
        raise UsageError(f"--input must be an image or a folder of images. Received: {path!r}")
    return files


def file_sample(file: Path, number: int) -> Sample | None:
    """The image in `file`, with id `number`; None if it cannot be read."""
    image = read_image(file)
    return None if image is None else Sample(image, number, file.name)


def read_image(file: Path) -> np.ndarray | None:
    """`[H, W, 3]` uint8, or None if no decoder can read it.

    TensorFlow's decoder comes first: it is the one of training and serving, and its pixels differ slightly from
    Pillow's. Pillow reads the formats that it does not know.
    """
    try:
        content = file.read_bytes()
        return tf.io.decode_image(content, channels=3, expand_animations=False).numpy()
    except (OSError, tf.errors.InvalidArgumentError):
        pass
    try:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
