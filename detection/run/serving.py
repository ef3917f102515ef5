"""A trained RetinaNet from raw images to boxes, as one graph: for predictions, and for export to a server."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.vision.ops import preprocess_ops

from dartsminus_tf.foundation.disk import digests
from dartsminus_tf.foundation.disk.files import write_json
from dartsminus_tf.foundation.disk.folders import new_folder
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import versions
from detection.coco.annotations import Labels
from detection.coco.boxes import Boxes
from detection.run import checkpoints
from detection.run.directory import DETECTOR

DESCRIPTION = "detector.json"
_ENCODED, _PIXELS = "serving_default", "image_tensor"
_TOLERANCE = 1e-3  # of boxes in pixels and of scores, between the live and the reloaded detector


class Detector(tf.Module):
    """Detections of raw images; every output is in the terms of the data set.

    Each endpoint returns, for N images and K = `max_num_detections`:
      detection_boxes: `[N, K, 4]`, [ymin, xmin, ymax, xmax] in pixels of the image that was given.
      detection_classes: `[N, K]` int32, the data set's own category ids.
      detection_scores: `[N, K]` in [0, 1], best first.
      num_detections: `[N]` int32; entries beyond it are padding.

    Args:
      model: a built RetinaNet.
      params: its config; the input size, the padding and the treatment of the aspect are those of evaluation.
      labels: names and ids of the categories.
    """

    def __init__(self, model: tf_keras.Model, params: cfg.ExperimentConfig, labels: Labels):
        super().__init__(name="detector")
        self.model = model
        config = params.task.model
        self._size = list(config.input_size[:2])
        self._padded = preprocess_ops.compute_padded_size(self._size, 2**config.max_level)
        self._keep_aspect = params.task.validation_data.parser.keep_aspect_ratio
        self._category_ids = [labels.original_category(number) for number in range(config.num_classes)]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def detect_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Detections of images `[N, H, W, 3]` of one size."""
        return self._detect(*tf.map_fn(self._scaled, images, fn_output_signature=self._input_signature))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def detect_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Detections of encoded images `[N]` (JPEG, PNG, BMP, or the first frame of a GIF) of any sizes."""
        decode = lambda content: tf.io.decode_image(content, channels=3, expand_animations=False)  # noqa: E731
        inputs = tf.map_fn(
            lambda content: self._scaled(decode(content)), image_bytes, fn_output_signature=self._input_signature
        )
        return self._detect(*inputs)

    @property
    def _input_signature(self) -> tuple:
        return tf.TensorSpec([*self._padded, 3], tf.float32), tf.TensorSpec([4, 2], tf.float32)

    def _scaled(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image.set_shape([None, None, 3])
        scaled, info = preprocess_ops.resize_and_crop_image(
            preprocess_ops.normalize_image(image),
            self._size,
            padded_size=self._padded,
            aug_scale_min=1.0,
            aug_scale_max=1.0,
            keep_aspect_ratio=self._keep_aspect,
        )
        return tf.ensure_shape(scaled, [*self._padded, 3]), info

    def _detect(self, images: tf.Tensor, info: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.ensure_shape(images, [None, *self._padded, 3])
        outputs = self.model(images, image_shape=info[:, 1, :], training=False)
        # Rows of the info: original size, input size, scale from original to input pixels, offset.
        boxes = tf.cast(outputs["detection_boxes"], tf.float32) / tf.tile(info[:, 2:3, :], [1, 1, 2])
        boxes = tf.clip_by_value(boxes, 0.0, tf.tile(info[:, 0:1, :], [1, 1, 2]))
        classes = tf.gather(tf.constant(self._category_ids, tf.int64), tf.cast(outputs["detection_classes"], tf.int32))
        return {
            "detection_boxes": boxes,
            "detection_classes": classes,
            "detection_scores": tf.cast(outputs["detection_scores"], tf.float32),
            "num_detections": tf.cast(outputs["num_detections"], tf.int32),
        }

    def __call__(self, image: np.ndarray) -> Boxes:
        """Detections of one `[H, W, 3]` uint8 image."""
        return as_boxes(self.detect_images(tf.constant(image[None], tf.uint8)))


def as_boxes(outputs: Mapping[str, tf.Tensor], row: int = 0) -> Boxes:
    """The real detections of one image of a batch."""
    count = int(outputs["num_detections"][row])
    keys = ("detection_boxes", "detection_classes", "detection_scores")
    return Boxes(*(outputs[key][row, :count].numpy() for key in keys))


def latest_detector(params: cfg.ExperimentConfig, model_dir: str, labels: Labels) -> tuple[Detector, int]:
    """A run's latest checkpoint as a detector, and its step."""
    model, step = checkpoints.restored_model(params, model_dir)
    return Detector(model, params, labels), step


def export(params: cfg.ExperimentConfig, model_dir: str, labels: Labels, folder: Path) -> None:
    """Writes a run's latest checkpoint to `folder`, `.../<step>` for TensorFlow Serving; see `save_detector`."""
    detector, step = latest_detector(params, model_dir, labels)
    description = {
        "format": "dartsminus_tf.detector",
        "format_version": 1,
        "categories": {str(labels.original_category(number)): name for number, name in labels.names.items()},
        "input_size": list(params.task.model.input_size),
        "step": step,
        "backbone": params.task.model.backbone.dartsminus.saved_model,
        "source_run": str(model_dir),
    }
    save_detector(detector, folder, description)


def save_detector(detector: Detector, folder: Path, description: dict) -> None:
    """Writes a SavedModel in TensorFlow Serving's layout, and `detector.json` beside it.

    Signatures: `serving_default` takes `image_bytes` `[N]`, `image_tensor` takes `images` uint8 `[N, H, W, 3]`.
    The export is loaded again and must give what the live detector gives before it appears under its name.

    Args:
      detector: what to export.
      folder: `.../<version>`, a number, as TensorFlow Serving wants it; new or empty.
      description: what `detector.json` holds besides versions and the digests of all files.

    Raises:
      UsageError: the folder holds something or cannot be made, or the reloaded export gives something else.
    """
    signatures = {
        _ENCODED: detector.detect_bytes.get_concrete_function(),
        _PIXELS: detector.detect_images.get_concrete_function(),
    }
    with new_folder(folder) as place:
        tf.saved_model.save(detector, str(place), signatures=signatures)
        _require_parity(detector, place)
        description = description | {"versions": versions(DETECTOR.packages)}
        write_json(place / DESCRIPTION, digests.sealed(description, DESCRIPTION, digests.folder_digests(place)))


def _require_parity(detector: Detector, folder: Path) -> None:
    pixels = tf.random.stateless_uniform([1, 96, 128, 3], [0, 1], 0, 256, tf.int32)
    images = tf.cast(pixels, tf.uint8)
    expected = detector.detect_images(images)
    loaded = tf.saved_model.load(str(folder))
    encoded = tf.io.encode_png(images[0])[None]
    for outputs in (loaded.signatures[_PIXELS](images=images), loaded.signatures[_ENCODED](image_bytes=encoded)):
        for key in ("detection_boxes", "detection_scores"):
            difference = float(tf.reduce_max(tf.abs(expected[key] - outputs[key])))
            if not difference <= _TOLERANCE:  # NaN is no parity
                raise UsageError(
                    f"the export gives other {key} after a reload, so nothing is exported; report it. "
                    f"Received: a difference of {difference:.3g}"
                )
