"""Images one by one, for pictures and predictions: from a run's data or from files."""

import collections
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from official.core import config_definitions as cfg
from official.vision.dataloaders import tf_example_decoder

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.pictures import reading as pictures
from dartsminus_tf.foundation.pictures.names import ending, is_hidden, is_picture_name
from dartsminus_tf.foundation.pictures.reading import PictureError
from detection.coco.boxes import Boxes
from detection.coco.pictures import MAX_ASPECT, is_too_thin
from detection.data import tfds_coco
from detection.data.shards import input_files


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


def image_files(path: str) -> tuple[list[Path], collections.Counter]:
    """One image file, or those of a folder in name order; and the numbers of its other files by their ending.

    Raises:
      UsageError: there is no image.
    """
    place = Path(path)
    if place.is_file():
        return [place], collections.Counter()
    entries = [entry for entry in sorted(place.glob("*")) if not is_hidden(entry.name)]
    files = [entry for entry in entries if is_picture_name(entry.name)]
    if not files:
        raise UsageError(f"--input must be an image or a folder of images. Received: {path!r}")
    others = set(entries) - set(files)
    return files, collections.Counter(ending(entry.name) for entry in others if not entry.is_dir())


def file_sample(file: Path, number: int) -> Sample:
    """The image in `file`, turned as its EXIF data ask, with id `number`.

    TensorFlow decodes what needs no turn: it is the decoder of training and serving, and its pixels of a JPEG differ
    slightly from Pillow's.

    Raises:
      PictureError: it cannot be read, or is too thin for the network.
    """
    return thick_enough(Sample(read_image(file), number, file.name), file)


def thick_enough(sample: Sample, file: Path | None = None) -> Sample:
    """The sample, unless it would have no row or no column left in the network's input.

    Raises:
      PictureError: naming the file, or else the sample.
    """
    height, width, _ = sample.image.shape
    if is_too_thin(width, height):
        reason = f"{width}x{height} pixels are too thin (one side is over {MAX_ASPECT} times the other)"
        raise PictureError(file or sample.name, reason)
    return sample


def read_image(file: Path) -> np.ndarray:
    """`[H, W, 3]` uint8 as it is meant to be seen; PictureError if it cannot be read."""
    if pictures.look(file).is_plain:
        try:
            return tf.io.decode_image(file.read_bytes(), channels=3, expand_animations=False).numpy()
        except tf.errors.InvalidArgumentError:  # Pillow can more, or says what is wrong
            pass
    return pictures.read(file)
