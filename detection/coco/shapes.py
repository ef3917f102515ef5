"""The box of an annotation: as it is written, or else around its segmentation."""

import dataclasses
import json
import re

from pycocotools import mask

from detection.coco.values import read_number

_SEPARATORS = re.compile(r"[\s,;()\[\]'\"]+")
_COMPRESSED = re.compile(r"(?:[P-o]{0,6}[0-O])+")  # counts of a mask: five bits a character, one bit more for "goes on"
_ROUNDING = 0.01  # of fractions with two digits
_DEEPEST = 4  # polygons of points in a list
_MOST_PIXELS = 2**31


@dataclasses.dataclass(frozen=True)
class Outline:
    """A box [x, y, w, h], not yet cut to its image.

    Attributes:
      box: in pixels, or in fractions of the image.
      source: "bbox", "polygon" or "mask".
    """

    box: list[float]
    source: str

    @property
    def may_be_fractions(self) -> bool:
        """Whether nothing in it is far outside of 0 to 1; a mask counts pixels."""
        left, top, width, height = self.box
        inside = min(self.box) >= -_ROUNDING and max(self.box) <= 1 + _ROUNDING
        return self.source != "mask" and inside and width > 0 and height > 0


def outline_of(entry: dict) -> Outline | None:
    """The outline of an annotation; None where neither its box nor its segmentation can be read.

    A box is four numbers, also as text ("[1, 2, 3, 4]", "1,2,3,4") or in a list of its own ([[1, 2, 3, 4]]); where
    it is missing, not readable or all 0, it is the one around the polygons or the mask (RLE, compressed or not).
    """
    box = read_box(entry.get("bbox"))
    if box is not None and any(box):
        return Outline(box, "bbox")
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, dict):
        around, source = _around_mask(segmentation), "mask"
    else:
        around, source = _around_polygons(segmentation), "polygon"
    if around is not None:
        return Outline(around, source)
    return None if box is None else Outline(box, "bbox")


def read_box(value: object) -> list[float] | None:
    """Four numbers, or None."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        value = _split(value)
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = [read_number(number) for number in value]
    return None if None in numbers else numbers


def _split(text: str) -> list[str]:
    return [part for part in _SEPARATORS.split(text) if part]


def _around_polygons(value: object) -> list[float] | None:
    """The box around polygons [x, y, x, y, ...], one or more, flat or of points [x, y], also as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = _split(value)
    points = _points(value, _DEEPEST)
    if not points or len(points) < 3:
        return None
    columns, rows = zip(*points, strict=True)
    return [min(columns), min(rows), max(columns) - min(columns), max(rows) - min(rows)]


def _points(value: object, depth: int) -> list[tuple[float, float]] | None:
    """All points of nested lists; None where something in them is no number, or half a point."""
    if not isinstance(value, list) or not depth:
        return None
    if any(isinstance(entry, list) for entry in value):
        found = [_points(entry, depth - 1) for entry in value]
        return None if None in found else [point for points in found for point in points]
    numbers = [read_number(entry) for entry in value]
    if None in numbers or len(numbers) % 2:
        return None
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _around_mask(value: dict) -> list[float] | None:
    """The box around a run-length encoded mask {"size": [height, width], "counts": [...] or "..."}."""
    size, counts = value.get("size"), value.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(_is_count(side, _MOST_PIXELS) for side in size):
        return None
    pixels = size[0] * size[1]
    if not 0 < pixels < _MOST_PIXELS:
        return None
    if isinstance(counts, list):
        if not all(_is_count(count, pixels) for count in counts) or sum(counts) != pixels:
            return None
        runs = mask.frPyObjects({"size": size, "counts": counts}, *size)
    elif isinstance(counts, str) and _COMPRESSED.fullmatch(counts):  # pycocotools would read beyond any other text
        runs = {"size": size, "counts": counts.encode("ascii")}
    else:
        return None
    box = [float(side) for side in mask.toBbox(runs)]
    inside = box[0] >= 0 and box[1] >= 0 and box[0] + box[2] <= size[1] and box[1] + box[3] <= size[0]
    return box if inside else None


def _is_count(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
