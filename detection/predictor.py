"""A RetinaNet applied to whole images: the reader's preprocessing, and boxes back in original pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from official.vision.dataloaders import tf_example_decoder
from official.vision.ops import preprocess_ops
from PIL import Image

from detection import draw
from detection.errors import DetectionError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass(frozen=True)
class Sample:
    """An image `[H, W, 3]` uint8, its COCO id, a name for files, and its boxes if they are known."""

    image: np.ndarray
    image_id: int
    name: str
    truth: draw.Boxes | None = None


class Predictor:
    """Detections of single images.

    Args:
      model: a built RetinaNet.
      input_size: [height, width, 3] of the network's input; images are scaled into it, keeping their aspect.
      max_level: last pyramid level; the input is padded to multiples of 2**max_level.
    """

    def __init__(self, model: tf_keras.Model, input_size: list[int], max_level: int):
        self._model = model
        self._size = list(input_size[:2])
        self._padded = preprocess_ops.compute_padded_size(self._size, 2**max_level)
        # One trace for images of every size; without the signature each new size would build the graph again.
        self._run = tf.function(self._forward, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])

    def _forward(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        normalised = preprocess_ops.normalize_image(image)
        scaled, info = preprocess_ops.resize_and_crop_image(
            normalised, self._size, padded_size=self._padded, aug_scale_min=1.0, aug_scale_max=1.0
        )
        scaled = tf.ensure_shape(scaled, self._padded + [3])
        outputs = self._model(scaled[None], image_shape=info[None, 1, :], training=False)
        # Row 2 of the image info is (height, width) scale from original to input pixels.
        boxes = outputs["detection_boxes"][0] / tf.tile(info[2:3, :], [1, 2])
        count = outputs["num_detections"][0]
        return {
            "boxes": boxes[:count],
            "classes": outputs["detection_classes"][0][:count],
            "scores": outputs["detection_scores"][0][:count],
        }

    def __call__(self, image: np.ndarray) -> draw.Boxes:
        """Detections of one `[H, W, 3]` uint8 image, in its own pixels."""
        outputs = self._run(tf.constant(image, tf.uint8))
        return draw.Boxes(*(outputs[key].numpy() for key in ("boxes", "classes", "scores")))


def record_samples(patterns: list[str], limit: int | None = None) -> Iterator[Sample]:
    """Images of TFRecords with their ground truth (crowd boxes left out of it), in file order."""
    files = sorted(name for pattern in patterns for name in tf.io.gfile.glob(pattern))
    decoder = tf_example_decoder.TfExampleDecoder()
    dataset = tf.data.TFRecordDataset(files).map(decoder.decode)
    for record in dataset.take(-1 if limit is None else limit):
        image = record["image"].numpy()
        single = ~record["groundtruth_is_crowd"].numpy()
        yxyx = record["groundtruth_boxes"].numpy() * np.tile(image.shape[:2], 2)
        truth = draw.Boxes(yxyx[single], record["groundtruth_classes"].numpy()[single])
        number = int(record["source_id"].numpy())
        yield Sample(image, number, f"{number:012d}", truth)


def file_samples(path: str) -> Iterator[Sample]:
    """One image file, or those of a folder in name order; ids count from 1.

    Raises:
      DetectionError: nothing readable there.
    """
    place = Path(path)
    files = [place] if place.is_file() else sorted(p for p in place.glob("*") if p.suffix.lower() in _SUFFIXES)
    if not files:
        raise DetectionError(f"--input must be an image or a folder of images. Received: {path!r}")
    for number, file in enumerate(files, start=1):
        try:
            with Image.open(file) as picture:
                image = np.asarray(picture.convert("RGB"))
        except OSError:
            raise DetectionError(f"--input holds a file that is no image. Received: {str(file)!r}") from None
        yield Sample(image, number, file.name)


def coco_results(sample: Sample, boxes: draw.Boxes, original_ids: dict[int, int]) -> list[dict]:
    """COCO result entries of one image, with the data set's own category ids and `[x, y, w, h]` in pixels."""
    entries = []
    for (top, left, bottom, right), category, score in zip(boxes.yxyx, boxes.classes, boxes.scores, strict=True):
        box = [float(left), float(top), float(right - left), float(bottom - top)]
        entries.append(
            {
                "image_id": sample.image_id,
                "category_id": original_ids.get(int(category), int(category)),
                "bbox": [round(v, 2) for v in box],
                "score": round(float(score), 5),
            }
        )
    return entries
