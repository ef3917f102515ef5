"""Repairs what can be repaired of COCO instance annotations, counting each repair."""

import concurrent.futures
from collections.abc import Callable, Iterable

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.names import PictureFolder, tidy
from detection.coco.pictures import FAULTS, size_or_fault
from detection.coco.repair_annotations import Images, repair_annotations
from detection.coco.repair_categories import repair_categories
from detection.coco.tally import Tally
from detection.coco.values import read_id, read_number


def repair(
    coco: dict, image_dir: str, progress: Callable[[Iterable], Iterable] = iter, num_workers: int = 1
) -> tuple[dict, Tally]:
    """Returns a data set that Model Garden's reader and pycocotools both understand, and the repairs made.

    Images without a readable file go, names and sizes follow the file, ids become unique numbers (the originals stay in
    `original_id` and `original_file_name`), boxes are clipped to their image, and empty or malformed ones go. Crowd
    boxes stay. Segmentations are left out: boxes alone are evaluated, and `area` keeps the segmentation's area, which
    decides small, medium and large.

    Args:
      coco: as `load_annotations` returns it; not changed.
      image_dir: folder that `file_name` is relative to.
      progress: wraps the loop over images, e.g. to print.
      num_workers: images looked at in parallel.

    Raises:
      UsageError: no image or no category is left, most boxes would be lost, or an id means two images or categories.
    """
    tally = Tally()
    folder = PictureFolder(image_dir)
    places = folder.find_all(entry.get("file_name") for entry in coco["images"])
    _require_some_image(places, folder, len(coco["images"]))
    _require_own_ids(coco["images"], places)
    categories, numbers = repair_categories(coco["categories"], tally)
    images, known = _repair_images(coco["images"], folder, places, tally, progress, num_workers)
    if not images:
        faults = ", ".join(f"{fault} {tally[fault]}" for fault in FAULTS if tally[fault])
        raise UsageError(f"--image_dir has no readable image ({faults}). Received: {image_dir!r}")
    annotations = repair_annotations(coco["annotations"], known, numbers, tally)
    return {"images": images, "annotations": annotations, "categories": categories}, tally


def _require_some_image(places: dict[str, str | None], folder: PictureFolder, number: int) -> None:
    """Fails at once, before every image is looked at, on what is nearly always a wrong folder."""
    if not any(places.values()):
        reason = folder.nearest_to_missing(places) or "no file_name is text"
        raise UsageError(f"--image_dir has none of the {number} images ({reason}). Received: {str(folder.path)!r}")


def _require_own_ids(entries: list[dict], places: dict[str, str | None]) -> None:
    """Two pictures of one id would get one another's boxes."""
    seen: dict[int | str, tuple[str, object]] = {}
    for entry in entries:
        key, name = read_id(entry.get("id")), entry.get("file_name")
        if key is None or not isinstance(name, str):
            continue
        file = places[name] or tidy(name)
        first, stated = seen.setdefault(key, (file, entry.get("id")))
        if first != file:
            raise UsageError(
                f"--annotations: each image must have its own id (1, 1.0, '1' and '001' are the same). Received: "
                f"{stated!r} for {first!r} and {entry.get('id')!r} for {file!r}"
            )


def _repair_images(entries, folder: PictureFolder, places, tally: Tally, progress, num_workers: int):
    kept, files, ids, merged = [], {}, {}, set()
    stated = [read_id(entry.get("id")) for entry in entries]
    next_free = max([key for key in stated if isinstance(key, int)] + [0]) + 1
    plain = [_plain(entry, places) for entry in entries]
    with concurrent.futures.ThreadPoolExecutor(num_workers) as pool:
        looks = pool.map(lambda entry: size_or_fault(entry, folder.path), plain)
        for entry, read, key, look in zip(progress(entries), plain, stated, looks, strict=True):
            if isinstance(look, str):
                tally[look] += 1
                ids.setdefault(key, None)
                continue
            name, (size, turned) = read["file_name"], look
            if name in files:
                tally["image_duplicate"] += 1
                merged.update([files[name]] * (ids.get(key) != files[name]))
                ids[key] = files[name]
                continue
            number = key
            if not isinstance(key, int) or key < 0:
                number, next_free = next_free, next_free + 1
                tally["image_id_renumbered"] += 1
            tally.update(["image_turned_upright"] * turned)
            tally.update(["image_size_corrected"] * ((read["width"], read["height"]) != size))
            tally.update(["image_found_by_another_name"] * (name != tidy(entry["file_name"])))
            ids[key] = files[name] = number
            kept.append(_image(number, name, size, entry))
    ids.pop(None, None)
    return kept, Images(ids, {image["id"]: (image["width"], image["height"]) for image in kept}, merged)


def _plain(entry: dict, places: dict[str, str | None]) -> dict:
    """An image's entry with its values read: what `pictures` looks at."""
    name = entry.get("file_name")
    found = places.get(name) if isinstance(name, str) else None
    width, height = (read_number(entry.get(side)) for side in ("width", "height"))
    return {"id": read_id(entry.get("id")), "file_name": found or name, "width": width, "height": height}


def _image(number: int, name: str, size: tuple[int, int], entry: dict) -> dict:
    image = {"id": number, "file_name": name, "width": size[0], "height": size[1]}
    original = {"original_id": entry["id"]} if entry["id"] != number else {}
    return image | original | ({"original_file_name": entry["file_name"]} if entry["file_name"] != name else {})
