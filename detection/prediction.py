"""Predictions of a trained run: pictures and a COCO results file."""

from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.core import task_factory

from detection import atomic_files, draw, experiment, predictor
from detection import task as _task  # noqa: F401  registers the task for our config
from detection.errors import DetectionError
from detection.progress import ProgressLine


def restored_model(params: cfg.ExperimentConfig, model_dir: str) -> tf_keras.Model:
    """The run's RetinaNet with the weights of its latest checkpoint.

    Raises:
      DetectionError: no checkpoint, or one of another model.
    """
    checkpoint = tf.train.latest_checkpoint(model_dir)
    if checkpoint is None:
        raise DetectionError(f"--model_dir has no checkpoint; run --mode=train_and_eval first. Received: {model_dir!r}")
    model = task_factory.get_task(params.task).build_model()
    status = tf.train.Checkpoint(model=model).restore(checkpoint)
    try:
        status.expect_partial().assert_existing_objects_matched()
    except AssertionError:
        raise DetectionError(f"the checkpoint is of another model. Received: {checkpoint!r}") from None
    return model


def make_predictor(params: cfg.ExperimentConfig, model: tf_keras.Model) -> predictor.Predictor:
    """A predictor with the input size of the config."""
    return predictor.Predictor(model, params.task.model.input_size, params.task.model.max_level)


def contact_sheet(params: cfg.ExperimentConfig, model: tf_keras.Model, path: str, threshold: float, count: int = 6):
    """Writes a PNG of the first `count` validation images, ground truth beside detections."""
    names = category_names(params)
    detect = make_predictor(params, model)
    pictures = []
    for sample in _validation_samples(params, count):
        found = detect(sample.image).above(threshold)
        pictures.append(draw.side_by_side(sample.image, found, names, sample.truth, side=320))
    with atomic_files.replacing(path) as temporary:
        draw.contact_sheet(pictures).save(temporary)


def predict(params: cfg.ExperimentConfig, model_dir: str, source: str | None, num_pictures: int, threshold: float):
    """Runs the latest checkpoint on the validation set, or on `source` (an image or a folder of images).

    Writes to `model_dir/predictions/`: `<image>.png` for the first `num_pictures` images (boxes with a score
    of at least `threshold`), and `results.json`, COCO results of all images with every detection.

    Returns:
      (folder, number of images, number of detections).
    """
    detect = make_predictor(params, restored_model(params, model_dir))
    names, folder = category_names(params), Path(model_dir) / "predictions"
    category_ids, image_ids = original_ids(params)
    results, images = [], 0
    samples: Iterable = _validation_samples(params) if source is None else predictor.file_samples(source)
    for images, sample in enumerate(ProgressLine("predict: images").over(samples), start=1):
        boxes = detect(sample.image)
        entries = predictor.coco_results(sample, boxes, category_ids)
        if source is None:
            entries = [entry | {"image_id": image_ids.get(sample.image_id, sample.image_id)} for entry in entries]
        else:
            entries = [entry | {"file_name": sample.name} for entry in entries]
        results += entries
        if images <= num_pictures:
            picture = draw.side_by_side(sample.image, boxes.above(threshold), names, sample.truth, sample.name)
            with atomic_files.replacing(folder / f"{sample.name}.png") as temporary:
                picture.save(temporary)
    atomic_files.write_json(folder / "results.json", results, indent=None)
    return str(folder), images, len(results)


def _validation_samples(params: cfg.ExperimentConfig, limit: int | None = None):
    return predictor.record_samples(experiment.input_patterns(params.task.validation_data.input_path), limit)


def category_names(params: cfg.ExperimentConfig) -> dict[int, str]:
    """Names by category id; empty when the config has no annotation file."""
    if not params.task.annotation_file:
        return {}
    categories = experiment.read_annotations(params.task.annotation_file)["categories"]
    return {category["id"]: category.get("name", str(category["id"])) for category in categories}


def original_ids(params: cfg.ExperimentConfig) -> tuple[dict, dict]:
    """The data set's own ids of categories and images that prepare_coco had to renumber."""
    if not params.task.annotation_file:
        return {}, {}
    annotations = experiment.read_annotations(params.task.annotation_file)
    return tuple(
        {entry["id"]: entry["original_id"] for entry in annotations[section] if "original_id" in entry}
        for section in ("categories", "images")
    )
