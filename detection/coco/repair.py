"""Reads COCO instance annotations and repairs what can be repaired, counting each repair."""

import collections
import concurrent.futures
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.pictures import is_there, size_or_fault

_SECTIONS = ("images", "annotations", "categories")
_LONGEST_NAME, _LARGEST_CATEGORY, _LARGEST_ID = 200, 10_000, 2**53


def load_annotations(path: str) -> dict:
    """Reads an instances JSON file and checks its outer structure.

    Raises:
      UsageError: no such file, not JSON, or not a mapping with three lists.
    """
    try:
        coco = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--annotations cannot be read ({error.strerror}). Received: {path!r}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--annotations must be a JSON file ({error}). Received: {path!r}") from None
    if not isinstance(coco, dict):
        raise UsageError(f"--annotations must hold a JSON object. Received: {type(coco).__name__} in {path!r}")
    for section in _SECTIONS:
        entries = coco.get(section)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UsageError(f"--annotations: {section!r} must be a list of objects. Received: {path!r}")
    if not coco["images"] or not coco["categories"]:
        raise UsageError(f"--annotations must name images and categories. Received: none in {path!r}")
    return coco


def repair(
    coco: dict, image_dir: str, progress: Callable[[Iterable], Iterable] = iter, num_workers: int = 1
) -> tuple[dict, dict[str, int]]:
    """Returns a data set that Model Garden's reader and pycocotools both understand, and the repairs made.

    Images without a readable file go, sizes follow the file, ids become unique positive integers (the
    originals stay in `original_id`), boxes are clipped to their image, and empty or malformed ones go. Crowd
    boxes stay. Categories are renumbered from 1 if an id is below 1, because label 0 is background.
    Segmentations are left out: boxes alone are evaluated, and `area` keeps the segmentation's area, which
    decides small, medium and large.

    Args:
      coco: as `load_annotations` returns it; not changed.
      image_dir: folder that `file_name` is relative to.
      progress: wraps the loop over images, e.g. to print.
      num_workers: images looked at in parallel.

    Raises:
      UsageError: no image or no category is left.
    """
    counts: collections.Counter = collections.Counter()
    _require_some_image(coco["images"], image_dir)
    categories, category_ids = _repair_categories(coco["categories"], counts)
    images, image_ids = _repair_images(coco["images"], Path(image_dir), counts, progress, num_workers)
    if not images:
        raise UsageError(f"--image_dir has no readable image. Received: {image_dir!r}")
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    annotations = _repair_annotations(coco["annotations"], image_ids, category_ids, sizes, counts)
    return {"images": images, "annotations": annotations, "categories": categories}, dict(counts)


def _require_some_image(entries: list[dict], image_dir: str) -> None:
    """Fails at once, before every image is looked at, on what is nearly always a wrong folder."""
    names = (entry.get("file_name") for entry in entries)
    if not any(is_there(name, Path(image_dir)) for name in names):
        raise UsageError(f"--image_dir has none of the {len(entries)} images. Received: {image_dir!r}")


def _repair_categories(entries: list[dict], counts: collections.Counter) -> tuple[list[dict], dict]:
    kept: dict[int, dict] = {}
    for entry in entries:
        number = _as_int(entry.get("id"))
        if number is None:
            counts["category_without_integer_id"] += 1
        elif number in kept:
            counts["category_duplicate"] += 1
        else:
            name = str(entry.get("name", number))[:_LONGEST_NAME].encode("utf-8", "replace").decode()
            kept[number] = {"id": number, "name": name}
    if not kept:
        raise UsageError("--annotations: no category has an integer id. Received: " + repr(entries[0]))
    # Label 0 is RetinaNet's background, such a class would never be detected; and the largest id sizes the model.
    if min(kept) < 1 or max(kept) > _LARGEST_CATEGORY:
        counts["category_renumbered"] = len(kept)
        for new, old in enumerate(sorted(kept), start=1):
            kept[old] = {"id": new, "name": kept[old]["name"], "original_id": old}
    return list(kept.values()), {old: entry["id"] for old, entry in kept.items()}


def _repair_images(entries, image_dir: Path, counts, progress, num_workers: int) -> tuple[list[dict], dict]:
    kept, ids, numbers, files = [], {}, set(), set()
    next_free = max([_as_int(e.get("id")) or 0 for e in entries] + [0]) + 1
    with concurrent.futures.ThreadPoolExecutor(num_workers) as pool:
        looks = pool.map(lambda entry: size_or_fault(entry, image_dir), entries)
        for entry, look in zip(progress(entries), looks, strict=True):
            original, name = entry.get("id"), entry.get("file_name")
            if isinstance(look, str):
                counts[look] += 1
            elif original in ids or name in files:
                counts["image_duplicate"] += 1
            else:
                size, turned = look
                counts.update(["image_turned_upright"] * turned)
                number = _as_int(original)
                if number is None or number in numbers:
                    number, next_free = next_free, next_free + 1
                    counts["image_id_renumbered"] += 1
                if (entry.get("width"), entry.get("height")) != size:
                    counts["image_size_corrected"] += 1
                ids[original] = number
                numbers.add(number)
                files.add(name)
                image = {"id": number, "file_name": name, "width": size[0], "height": size[1]}
                kept.append(image if number == original else image | {"original_id": original})
    return kept, ids


def _repair_annotations(entries, image_ids, category_ids, sizes, counts) -> list[dict]:
    kept, seen = [], {}
    next_free = max([_as_int(e.get("id")) or 0 for e in entries] + [0]) + 1
    for entry in entries:
        image, category = (
            image_ids.get(_hashable(entry.get("image_id"))),
            category_ids.get(_as_int(entry.get("category_id"))),
        )
        box = _finite_box(entry.get("bbox"))
        if image is None:
            counts["annotation_of_absent_image"] += 1
        elif category is None:
            counts["annotation_of_unknown_category"] += 1
        elif box is None:
            counts["box_malformed"] += 1
        elif (clipped := clip_box(box, *sizes[image])) is None:
            counts["box_empty"] += 1
        else:
            counts["box_clipped"] += max(abs(a - b) for a, b in zip(box, clipped, strict=True)) > 1e-3
            number, same = _as_int(entry.get("id")), (image, category, tuple(clipped))
            if number in seen and seen[number] == same:
                counts["annotation_duplicate"] += 1
                continue
            if number is None or number < 1 or number in seen:  # pycocotools reads id 0 as "unmatched"
                number, next_free = next_free, next_free + 1
                counts["annotation_id_renumbered"] += 1
            seen[number] = same
            kept.append(_annotation(number, image, category, clipped, entry))
    if not counts["box_clipped"]:
        del counts["box_clipped"]
    return kept


def _annotation(number: int, image: int, category: int, box: list[float], entry: dict) -> dict:
    area = entry.get("area")
    valid = _is_number(area) and area > 0
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "area": float(area) if valid else box[2] * box[3],
        "iscrowd": int(bool(entry.get("iscrowd", 0))),
    }


def clip_box(box: list[float], width: int, height: int) -> list[float] | None:
    """`[x, y, w, h]` in pixels cut to the image, or None if nothing is left of it."""
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], float(width)), min(box[1] + box[3], float(height))
    if right - left <= 0 or bottom - top <= 0:
        return None
    return [left, top, right - left, bottom - top]


def _hashable(value: object) -> object:
    return value if isinstance(value, int | float | str) else None


def _finite_box(box: object) -> list[float] | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    if not all(_is_number(v) for v in box):
        return None
    return [float(v) for v in box]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_ID


def _as_int(value: object) -> int | None:
    """An integer that TensorFlow and JSON can hold, or a string or whole float that says one; None otherwise."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 17 else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    valid = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_ID
    return value if valid else None
