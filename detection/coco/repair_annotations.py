"""Annotations of known images and categories, with boxes in pixels that lie in their image."""

import dataclasses

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.shapes import Outline, outline_of
from detection.coco.tally import Tally
from detection.coco.values import read_flag, read_id, read_number

LOSSES = ("annotation_of_unknown_image", "annotation_of_unknown_category", "box_malformed", "box_empty")
_MOST_LOST = 0.5
_BEYOND = 1.02  # where a box in fractions may end
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Images:
    """What annotations need to know of the images.

    Attributes:
      numbers: the id of an image by the one that its entry states, as `read_id` reads it; None for an image left out.
      sizes: (width, height) by the id of an image.
      merged: ids of the images that more than one entry named, by different ids.
    """

    numbers: dict[int | str, int | None]
    sizes: dict[int, tuple[int, int]]
    merged: set[int]


@dataclasses.dataclass(frozen=True)
class _Object:
    """An annotation that has an image, a category and an outline."""

    entry: dict
    image: int
    category: int
    outline: Outline


def repair_annotations(entries: list[dict], images: Images, categories: dict, tally: Tally) -> list[dict]:
    """The annotations that can be used.

    Args:
      entries: of the instances JSON.
      images: see `Images`.
      categories: the number of a category by its stated id.
      tally: counts the repairs; `LOSSES` are the reasons for which a box is lost whose image is there.

    Raises:
      UsageError: more than half of the boxes would be lost, or some are fractions of the image and others are not.
    """
    objects = [found for entry in entries if (found := _object(entry, images, categories, tally)) is not None]
    scaled = _are_fractions(objects)
    kept, numbers, repeated = [], _Numbers(entries), _Repeated(images.merged)
    for found in objects:
        size = images.sizes[found.image]
        whole = scaled and found.outline.may_be_fractions
        box = _in_pixels(found.outline.box, size) if whole else found.outline.box
        clipped = clip_box(box, *size)
        if clipped is None:
            tally.note("box_empty", "bbox", found.entry.get("bbox"))
            continue
        key = read_id(found.entry.get("id"))
        same = (found.image, found.category, tuple(clipped))
        if numbers.is_repeated(key, same) or repeated(same, read_id(found.entry.get("image_id"))):
            tally["annotation_duplicate"] += 1
            continue
        _count(found, whole, max(abs(a - b) for a, b in zip(box, clipped, strict=True)) > 1e-3, tally)
        kept.append(_annotation(numbers.of(key, same, tally), found, clipped, whole, tally))
    _require_most(len(kept) + tally["annotation_duplicate"], tally)
    return kept


def _object(entry: dict, images: Images, categories: dict, tally: Tally) -> _Object | None:
    image, category = read_id(entry.get("image_id")), read_id(entry.get("category_id"))
    outline = outline_of(entry)
    if image not in images.numbers:
        tally.note("annotation_of_unknown_image", "image_id", entry.get("image_id"))
    elif images.numbers[image] is None:
        tally["annotation_of_absent_image"] += 1
    elif category not in categories:
        tally.note("annotation_of_unknown_category", "category_id", entry.get("category_id"))
    elif outline is None:
        tally.note("box_malformed", "bbox", entry.get("bbox"))
    else:
        return _Object(entry, images.numbers[image], categories[category], outline)
    return None


def _count(found: _Object, scaled: bool, clipped: bool, tally: Tally) -> None:
    changes = {
        "box_clipped": clipped,
        "box_scaled_from_fractions": scaled,
        "box_from_segmentation": found.outline.source != "bbox",
    }
    for reason, holds in changes.items():
        if holds:
            tally[reason] += 1


def _are_fractions(objects: list[_Object]) -> bool:
    """Whether the boxes of the file are fractions of their images: all but those of masks lie within 0 to 1.

    Raises:
      UsageError: most do, but not all; or all do, and some would reach out of their image.
    """
    boxes = [found.outline for found in objects if found.outline.source != "mask" and min(found.outline.box[2:]) > 0]
    fractions = [outline.box for outline in boxes if outline.may_be_fractions]
    if len(fractions) * 2 <= len(boxes):
        return False
    if len(fractions) < len(boxes):
        other = next(outline.box for outline in boxes if not outline.may_be_fractions)
        raise UsageError(
            "--annotations: all boxes must be in pixels, or all in fractions of their image. Received: "
            f"{len(fractions)} of {len(boxes)} within 0 to 1, such as {fractions[0]}, and others such as {other}"
        )
    beyond = [box for box in fractions if max(box[0] + box[2], box[1] + box[3]) > _BEYOND]
    if beyond:
        raise UsageError(
            "--annotations: boxes in fractions must be [left, top, width, height] and end in their image; are these "
            f"[centre x, centre y, width, height]? Received: {beyond[0]} and {len(beyond) - 1} more that do not"
        )
    return True


def _in_pixels(box: list[float], size: tuple[int, int]) -> list[float]:
    return [side * whole for side, whole in zip(box, (*size, *size), strict=True)]


class _Numbers:
    """Ids of annotations: positive (pycocotools reads 0 as "unmatched") and unique."""

    def __init__(self, entries: list[dict]):
        stated = (read_id(entry.get("id")) for entry in entries)
        self._next = max([key for key in stated if isinstance(key, int)] + [0]) + 1
        self._seen: dict[int | str, tuple] = {}

    def is_repeated(self, key: int | str | None, same: tuple) -> bool:
        """Whether an annotation of this id and this content was there already."""
        return key is not None and self._seen.get(key) == same

    def of(self, key: int | str | None, same: tuple, tally: Tally) -> int:
        """The number of an annotation that is not repeated."""
        free = isinstance(key, int) and key >= 1 and key not in self._seen
        if key is not None:
            self._seen.setdefault(key, same)
        if free:
            return key
        tally["annotation_id_renumbered"] += 1
        self._next += 1
        return self._next - 1


class _Repeated:
    """Knows the boxes that two entries of one image both have."""

    def __init__(self, merged: set[int]):
        self._merged, self._stated = merged, {}

    def __call__(self, same: tuple, stated: int | str) -> bool:
        return same[0] in self._merged and self._stated.setdefault(same, stated) != stated


def _annotation(number: int, found: _Object, box: list[float], scaled: bool, tally: Tally) -> dict:
    area, crowd = read_number(found.entry.get("area")), read_flag(found.entry.get("iscrowd"))
    if crowd is None:
        tally.note("iscrowd_malformed", "iscrowd", found.entry.get("iscrowd"))
    return {
        "id": number,
        "image_id": found.image,
        "category_id": found.category,
        "bbox": box,
        "area": area if area is not None and area > 0 and not scaled else box[2] * box[3],
        "iscrowd": int(crowd or 0),
    }


def clip_box(box: list[float], width: int, height: int) -> list[float] | None:
    """`[x, y, w, h]` in pixels cut to the image, or None if nothing is left of it."""
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], float(width)), min(box[1] + box[3], float(height))
    if right - left <= 0 or bottom - top <= 0:
        return None
    return [left, top, right - left, bottom - top]


def _require_most(kept: int, tally: Tally) -> None:
    """Refuses a file of which little would be left; boxes of images that are left out are not the file's fault."""
    lost = sum(tally[reason] for reason in LOSSES)
    if lost > _MOST_LOST * (kept + lost):
        raise UsageError(
            f"--annotations: {lost} of {kept + lost} boxes ({100 * lost / (kept + lost):.0f} %) would be lost; correct "
            f"the file, or take them out of it. Received: {'; '.join(tally.lines(LOSSES)[:_SHOWN])}"
        )
