"""A split in COCO layout to TFRecords for Model Garden, with the annotations to evaluate against."""

import collections
import contextlib
import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path

from dartsminus_tf.foundation.disk.files import sweep, write_json
from dartsminus_tf.foundation.errors import UsageError, require
from dartsminus_tf.foundation.progress import ProgressLine
from dartsminus_tf.foundation.runs.status import StatusFile
from detection.coco import pictures
from detection.coco.load import load_annotations
from detection.coco.repair import repair
from detection.coco.repair_annotations import LOSSES
from detection.coco.tally import Tally
from detection.data import examples, inventory, shards
from detection.data.origin import Origin, require_prepared, verified
from detection.data.stats import stats_path

_NOTED = (*LOSSES, "iscrowd_malformed", "category_without_name", "category_name_repeated")


def prepare_split(
    image_dir: str,
    annotations: str,
    output_dir: str,
    split: str,
    num_shards: int = 1,
    overwrite: bool = False,
    num_workers: int = 1,
    begun: StatusFile | None = None,
    verify: bool = False,
) -> dict:
    """Writes `<split>-*.tfrecord`, `instances_<split>.json`, `pictures_<split>.json` and, last, `stats_<split>.json`.

    The stats file is the manifest: the sign that the split is complete, with the checksum of every file. When it is
    there and was made from the same input, the files are verified and nothing is written. An interrupted call is
    gone on with by the same call: finished shards are kept; `status_<split>.json` says what became of the last one.

    Args:
      image_dir: folder of the images; where it lies is no part of the input.
      annotations: COCO instances JSON.
      output_dir: created when missing.
      split: prefix of the files, e.g. "train".
      num_shards: at least 1; about 1,000 images a shard is a good size.
      overwrite: write anew whatever is there.
      num_workers: images checked, and shards written, in parallel.
      begun: the status of a preparation that this call is a part of.
      verify: of a finished split, read every picture again too.

    Returns:
      The stats, with `skipped` True when the split was complete already, and then `verified`, what was compared.

    Raises:
      UsageError: unusable input, a finished split of another input without `overwrite`, nothing to verify, or another
        process that prepares this split.
    """
    require_counts(num_shards, num_workers)
    if not Path(image_dir).exists():
        raise UsageError(f"--image_dir: no such folder ({str(Path(image_dir).absolute())!r}). Received: {image_dir!r}")
    require(Path(image_dir).is_dir(), "--image_dir must be a folder", image_dir)
    if verify:
        require_prepared(output_dir, split)
    coco = load_annotations(annotations)
    origin, folder = Origin(image_dir, annotations, coco, num_shards), Path(output_dir)
    manifest = stats_path(folder, split)
    if manifest.is_file() and not overwrite:
        return verified(folder, split, origin, verify, num_workers)
    lines = _line(split, "checking images", coco["images"]), _line(split, "reading images", origin.places)
    repaired, tally = repair(coco, image_dir, lines[0], num_workers)
    taken = inventory.take(origin.places, origin.folder.path, num_workers, lines[1])
    with contextlib.nullcontext() if begun else StatusFile(folder, split):
        if manifest.is_file() and not overwrite:  # by another process, while this one looked at the images
            return verified(folder, split, origin, verify, num_workers)
        files = _write_files(repaired, taken, folder, split, origin, overwrite, num_workers)
        stats = _stats(repaired, tally, origin, files)
        write_json(manifest, stats)
    return stats | {"skipped": False}


def _line(split: str, what: str, items: Collection) -> Callable:
    return ProgressLine(f"{split}: {what}", len(items)).over


def require_counts(num_shards: int, num_workers: int) -> None:
    """Refuses numbers below 1.

    Raises:
      UsageError: naming the flag.
    """
    for name, number in (("num_shards", num_shards), ("num_workers", num_workers)):
        require(number >= 1, f"--{name} must be at least 1", number)


def images_left_out(stats: dict) -> int:
    """Images of the annotations that are not in the records, repeated ones not counted."""
    return sum(stats["repairs"].get(fault, 0) for fault in pictures.FAULTS)


def _write_files(
    coco: dict,
    taken: dict[str, inventory.Picture],
    folder: Path,
    split: str,
    origin: Origin,
    overwrite: bool,
    num_workers: int,
) -> dict[str, shards.Digest]:
    """Shards, annotations and inventory; returns digests by file name. Meanwhile the split has no manifest."""
    sweep(folder)
    stats_path(folder, split).unlink(missing_ok=True)
    if overwrite:
        shards.forget(folder, split)
    names = {category["id"]: category["name"] for category in coco["categories"]}
    boxes = examples.boxes_by_image(coco)
    contents = sorted((name, digest) for name, (_, _, digest) in taken.items())
    num_shards = origin.source.num_shards
    files = shards.write_shards(
        folder,
        split,
        coco["images"],
        lambda image: examples.make_example(image, origin.folder.path, boxes.get(image["id"], []), names),
        origin.source.model_dump() | {"repaired_sha256": _digest(coco), "contents_sha256": _digest(contents)},
        num_shards,
        num_workers,
        _line(split, "writing shards", range(num_shards)),
    )
    for path, value in {
        folder / f"instances_{split}.json": coco,
        inventory.inventory_path(folder, split): taken,
    }.items():
        write_json(path, value)
        files[path.name] = shards.digest(path)
    return files


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _stats(repaired: dict, tally: Tally, origin: Origin, files: dict) -> dict:
    largest = max(category["id"] for category in repaired["categories"])
    boxes = collections.Counter(a["image_id"] for a in repaired["annotations"])
    kept = {image["file_name"] for image in repaired["images"]}
    missing = origin.folder.nearest_to_missing(origin.places)
    return {
        "images": len(repaired["images"]),
        "images_without_boxes": len(repaired["images"]) - len(boxes),
        "boxes": len(repaired["annotations"]),
        "most_boxes_in_an_image": max(boxes.values(), default=0),
        "crowd_boxes": sum(a["iscrowd"] for a in repaired["annotations"]),
        "categories": len(repaired["categories"]),
        "category_names": {str(c["id"]): c["name"] for c in repaired["categories"]},
        "num_classes": largest + 1,  # what task.model.num_classes must be: label 0 is background
        "repairs": dict(tally),
        "left_out": sorted(name for name, place in origin.places.items() if place not in kept),
        "notes": [*tally.lines(_NOTED), *[missing] * (missing is not None)],
        "source": origin.source.model_dump(exclude_none=True),
        "files": files,
    }
