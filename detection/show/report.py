"""What a reader wants to see of an evaluation: per-class tables, precision-recall curves, images with boxes."""

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from official.core import config_definitions as cfg
from PIL import Image

from dartsminus_tf.foundation.disk.files import replacing, write_atomically, write_json
from dartsminus_tf.foundation.disk.tables import markdown, write_csv
from dartsminus_tf.foundation.figures import add_legend, new_figure, png
from dartsminus_tf.foundation.output import shown
from detection.coco import metrics as coco_metrics
from detection.coco.annotations import Labels
from detection.coco.boxes import Boxes
from detection.data import samples
from detection.show import draw

_RECALL = np.linspace(0, 1, 101)  # COCO's recall points
_THRESHOLDS = {0.5: 0, 0.75: 5, 0.9: 8}  # IoU threshold: its row of `precision`
_CURVES = 10  # classes of a chart
_LONGEST_NAME = 36  # characters of a legend beside two charts


def write(folder: str | Path, evaluation: coco_metrics.Evaluation, labels: Labels, sheet: Image.Image) -> None:
    """Writes `detections.json`, `detections.png`, `per_class.csv`, `per_class.md` and `pr_curves.png` to `folder`.

    `detections.json` is a COCO results file with the data set's own ids: pycocotools finds the same AP in it.
    """
    folder = Path(folder)
    write_json(folder / "detections.json", labels.in_original_ids(evaluation.detections))
    rows = class_rows(evaluation, labels)
    write_csv(folder / "per_class.csv", rows)
    head = f"{coco_metrics.metrics_line(evaluation.metrics)} ({evaluation.images} images)"
    shown = [{coco_metrics.NAMES.get(key, key): value for key, value in row.items()} for row in rows]
    write_atomically(folder / "per_class.md", f"{head}\n\n{markdown(shown)}")
    for name, picture in (("detections.png", sheet), ("pr_curves.png", precision_recall_chart(evaluation))):
        with replacing(folder / name) as temporary:
            picture.save(temporary)


def class_rows(evaluation: coco_metrics.Evaluation, labels: Labels) -> list[dict]:
    """One row a category with the data set's own id, those without boxes last; AP to six decimals."""
    rows = [
        {"id": labels.original_category(c.category_id), "class": c.name, "boxes": c.boxes}
        | {name: None if ap is None else round(ap, 6) for name, ap in (("ap", c.ap), ("ap50", c.ap50))}
        for c in evaluation.classes
    ]
    return sorted(rows, key=lambda row: (row["ap"] is None, row["id"]))


def precision_recall_chart(evaluation: coco_metrics.Evaluation) -> Image.Image:
    """Left the mean over classes at three IoU thresholds, right the classes with the most boxes at IoU 0.5."""
    figure = new_figure(13, 4.6)
    left, right = figure.subplots(1, 2)
    thresholds, classes = [], []
    present = [index for index, entry in enumerate(evaluation.classes) if entry.boxes]
    for threshold, row in _THRESHOLDS.items():
        if present:
            mean = evaluation.precision[row][:, present].clip(0).mean(axis=1)
            left.plot(_RECALL, mean)
            thresholds.append(f"IoU {threshold:.2f} (AP {mean.mean():.3f})")
    _finish_axes(left, thresholds)
    left.set_title(f"mean of {len(present)} classes, {evaluation.images} images")
    for index in sorted(present, key=lambda i: -evaluation.classes[i].boxes)[:_CURVES]:
        entry = evaluation.classes[index]
        right.plot(_RECALL, evaluation.precision[0][:, index].clip(0))
        classes.append(f"{shown(entry.name, _LONGEST_NAME)} ({entry.boxes}): {entry.ap50:.3f}")
    right.set_title("AP50 of the classes with the most boxes" if len(present) > _CURVES else "AP50 by class")
    _finish_axes(right, classes)
    return Image.open(io.BytesIO(png(figure)), formats=("PNG",)).convert("RGB")


def _finish_axes(axes: Axes, names: list[str]) -> None:
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    if names:
        add_legend(axes, axes.lines, names, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def validation_sheet(
    params: cfg.ExperimentConfig, detections: list[dict], labels: Labels, threshold: float, count: int = 6
) -> Image.Image:
    """The first `count` validation images, ground truth beside the detections with a score of at least `threshold`.

    Args:
      params: whose validation data to show.
      detections: COCO result entries of an evaluation.
      labels: names of the categories.
    """
    found: dict[int, list[dict]] = {}
    for entry in detections:
        if entry["score"] >= threshold:
            found.setdefault(entry["image_id"], []).append(entry)
    pictures = []
    for sample in samples.data_samples(params.task.validation_data, count):
        boxes = Boxes.of_entries(found.get(sample.image_id, [])).above(threshold)
        pictures.append(draw.side_by_side(sample.image, boxes, labels.names, sample.truth, side=320))
    return draw.contact_sheet(pictures)
