"""Predictions of a trained run: pictures and a COCO results file."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from official.core import config_definitions as cfg

from dartsminus_tf.foundation.disk.files import replacing, write_json
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.pictures.names import by_ending
from dartsminus_tf.foundation.pictures.reading import PictureError, name_left_out
from dartsminus_tf.foundation.progress import ProgressLine
from detection.coco.annotations import Labels
from detection.coco.boxes import Boxes
from detection.data import samples
from detection.run import serving
from detection.show import draw

_UNREADABLE = "unreadable.json"


@dataclasses.dataclass
class Prediction:
    """What `predict` did: where, how much, and at what rate without the first image (it builds the graph)."""

    folder: str
    images: int = 0
    unreadable: int = 0
    detections: int = 0
    images_per_second: float = 0.0


def predict(
    params: cfg.ExperimentConfig,
    model_dir: str,
    labels: Labels,
    source: str | None,
    num_pictures: int,
    threshold: float,
) -> Prediction:
    """Runs the latest checkpoint on the validation set, or on `source` (an image or a folder of images).

    Writes to `model_dir/predictions/`: `<image>.png` for the first `num_pictures` images (boxes with a score
    of at least `threshold`), and `results.json`, COCO results of all images with every detection. Files that are no
    readable image, or one that is too thin, are left out and named, on standard error and in `unreadable.json`.

    Raises:
      UsageError: no image at `source`, or none that can be read.
    """
    files, others = (None, None) if source is None else samples.image_files(source)
    done = Prediction(str(Path(model_dir) / "predictions"))
    folder = Path(done.folder)
    detect, _ = serving.latest_detector(params, model_dir, labels)
    unreadable, results, seconds = [], [], 0.0
    for sample in ProgressLine("predict: images", files and len(files)).over(_samples(params, files)):
        if isinstance(sample, PictureError):
            unreadable.append(sample)
            continue
        start = time.monotonic()
        boxes = detect(sample.image)
        seconds += time.monotonic() - start if done.images else 0.0
        done.images += 1
        results += boxes.entries(_image_keys(sample, labels, from_files=files is not None))
        if done.images <= num_pictures:
            _draw(folder, sample, boxes.above(threshold), labels)
    name_left_out(unreadable, [f"passed over {by_ending(others)}"] if others else [], _UNREADABLE)
    if not done.images:
        raise UsageError(f"--input holds no readable image. Received: {source!r}")
    _write(folder, results, unreadable)
    done.unreadable, done.detections = len(unreadable), len(results)
    done.images_per_second = (done.images - 1) / seconds if seconds else 0.0
    return done


def _write(folder: Path, results: list[dict], unreadable: list[PictureError]) -> None:
    (folder / _UNREADABLE).unlink(missing_ok=True)
    write_json(folder / "results.json", results)
    if unreadable:
        write_json(folder / _UNREADABLE, [str(fault.path) for fault in unreadable])


def _samples(params: cfg.ExperimentConfig, files: list[Path] | None) -> Iterator[samples.Sample | PictureError]:
    """Images, or what is wrong with them."""
    if files is None:
        for sample in samples.data_samples(params.task.validation_data):
            yield _or_fault(samples.thick_enough, sample)
    else:
        for number, file in enumerate(files, start=1):
            yield _or_fault(samples.file_sample, file, number)


def _or_fault(get: Callable[..., samples.Sample], *arguments) -> samples.Sample | PictureError:
    try:
        return get(*arguments)
    except PictureError as error:
        return error


def _image_keys(sample: samples.Sample, labels: Labels, from_files: bool) -> dict:
    if from_files:
        return {"image_id": sample.image_id, "file_name": sample.name}
    return {"image_id": labels.image_ids.get(sample.image_id, sample.image_id)}


def _draw(folder: Path, sample: samples.Sample, boxes: Boxes, labels: Labels) -> None:
    truth = sample.truth
    if truth is not None:
        truth = Boxes(truth.yxyx, [labels.original_category(int(number)) for number in truth.classes])
    names = {labels.original_category(number): name for number, name in labels.names.items()}
    picture = draw.side_by_side(sample.image, boxes, names, truth, sample.name)
    with replacing(folder / f"{sample.name}.png") as temporary:
        picture.save(temporary)
