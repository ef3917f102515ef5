"""Class names that mean something to matplotlib, tables or pictures end no evaluation and are shown as they stand."""

import csv
import json

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image, ImageDraw

from dartsminus_tf.foundation import figures
from dartsminus_tf.foundation.output import shown
from detection.coco import metrics as coco_metrics
from detection.coco.annotations import labels_of
from detection.coco.boxes import Boxes
from detection.show import draw, report

NAMES = [
    "$x_$",
    "^",
    "{",
    "\\",
    "$\\frac{1}",
    "a|b",
    "<b>",
    "&amp;",
    "`a`",
    "_background_",
    "a\nb",
    "\x1b[31mred",
    "a\x00b",
]
NAMES += ["\u732b", "\U0001f431\u200d\U0001f464", "\u202eabc", "n" * 150, "a\rb", "a\u2028b"]
LINES = [shown(name) for name in NAMES]


@pytest.fixture(scope="module")
def evaluation():
    """Every class has one box, which was found."""
    numbers = range(1, len(NAMES) + 1)
    annotations = {
        "images": [{"id": 1, "width": 64, "height": 64, "file_name": "1.jpg"}],
        "categories": [{"id": n, "name": name} for n, name in zip(numbers, NAMES, strict=True)],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": n, "bbox": [n, n, 10, 10], "area": 100, "iscrowd": 0}
            for n in numbers
        ],
    }
    found = [{"image_id": 1, "category_id": n, "bbox": [n, n, 10, 10.0], "score": 0.9} for n in numbers]
    return coco_metrics.evaluate(coco_metrics.ground_truth(annotations), found, [1]), labels_of(annotations)


def test_tables_and_charts_of_an_evaluation(evaluation, tmp_path):
    report.write(tmp_path, *evaluation, Image.new("RGB", (8, 8)))
    with open(tmp_path / "per_class.csv", newline="", encoding="utf-8") as file:
        assert [row["class"] for row in csv.DictReader(file)] == LINES
    table = (tmp_path / "per_class.md").read_text(encoding="utf-8").split("\n")[2:-1]
    assert len(table) == len(NAMES) + 2 and "| \\$x\\_\\$ " in table[2] and " a\\|b " in table[7]
    assert len(json.loads((tmp_path / "detections.json").read_text())) == len(NAMES)
    assert Image.open(tmp_path / "pr_curves.png").width > 800


@pytest.mark.parametrize("first", [0, 10, len(NAMES) - 10])
def test_the_legend_names_every_class(evaluation, first, monkeypatch):
    legends = []
    monkeypatch.setattr(
        report, "add_legend", lambda axes, *args, **kw: legends.append(figures.add_legend(axes, *args, **kw))
    )
    kept = coco_metrics.Evaluation(**{**vars(evaluation[0]), "classes": evaluation[0].classes[first : first + 10]})
    assert report.precision_recall_chart(kept).size == (1430, 506)
    written = [text.get_text() for text in legends[-1].get_texts()]
    assert written == [f"{shown(name, 36)} (1): 1.000" for name in NAMES[first : first + 10]]
    assert isinstance(legends[-1].axes, Axes) and not any(text.get_parse_math() for text in legends[-1].get_texts())


@pytest.mark.parametrize("name", [*NAMES, "\ud800", "", "n" * 5000], ids=lambda name: shown(name, 20))
def test_boxes_are_labelled(name, monkeypatch):
    written = []
    original = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, xy, text, *a, **k: (written.append(text), original(self, xy, text, *a, **k)),
    )
    boxes = Boxes(np.array([[1.0, 2, 30, 40]]), np.array([1]), np.array([0.5]))
    picture = draw.side_by_side(np.zeros((60, 80, 3), np.uint8), boxes, {1: name}, boxes, caption=name, side=320)
    label = shown(name, 60)
    assert written == [
        f"{label} 0.50",
        f"{label} 0.50",
        *(f"{t}  {shown(name)}".rstrip() for t in ("ground truth", "detections")),
    ]
    assert picture.size == (2 * 320 + 6, 240 + 20)
