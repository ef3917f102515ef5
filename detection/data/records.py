"""A split in COCO layout to TFRecords for Model Garden, with the annotations to evaluate against."""

import collections
import contextlib
import hashlib
import json
from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError, require
from dartsminus_tf.foundation.files import sweep, write_json
from dartsminus_tf.foundation.progress import ProgressLine
from dartsminus_tf.foundation.status import StatusFile
from detection.coco import pictures
from detection.coco.repair import load_annotations, repair
from detection.data import examples, shards


def prepare_split(
    image_dir: str,
    annotations: str,
    output_dir: str,
    split: str,
    num_shards: int = 1,
    overwrite: bool = False,
    num_workers: int = 1,
    begun: StatusFile | None = None,
) -> dict:
    """Writes `<split>-*.tfrecord`, `instances_<split>.json` and, last, `stats_<split>.json` into `output_dir`.

    The stats file is the manifest: the sign that the split is complete, with the checksum of every file. When it is
    there and was made from the same input, the files are verified and nothing is written. An interrupted call is
    gone on with by the same call: finished shards are kept; `status_<split>.json` says what became of the last one.

    Args:
      image_dir: folder of the images.
      annotations: COCO instances JSON.
      output_dir: created when missing.
      split: prefix of the files, e.g. "train".
      num_shards: at least 1; about 1,000 images a shard is a good size.
      overwrite: write anew whatever is there.
      num_workers: images checked, and shards written, in parallel.
      begun: the status of a preparation that this call is a part of.

    Returns:
      The stats, with `skipped` True when the split was complete already.

    Raises:
      UsageError: unusable input, a finished split of another input without `overwrite`, or another process that
        prepares this split.
    """
    require_counts(num_shards, num_workers)
    if not Path(image_dir).is_dir():
        raise UsageError(f"--image_dir must be a folder. Received: {image_dir!r}")
    coco = load_annotations(annotations)
    source = _fingerprint(image_dir, annotations, num_shards)
    stats_path = Path(output_dir) / f"stats_{split}.json"
    if stats_path.is_file() and not overwrite:
        return _verified(stats_path, source)
    line = ProgressLine(f"{split}: checking images", len(coco["images"]))
    repaired, repairs = repair(coco, image_dir, line.over, num_workers)
    left_out = sorted(_file_names(coco) - _file_names(repaired))
    with contextlib.nullcontext() if begun else StatusFile(stats_path.parent, split):
        if stats_path.is_file() and not overwrite:  # by another process, while this one looked at the images
            return _verified(stats_path, source)
        files = _write_files(repaired, Path(image_dir), stats_path, source, overwrite, num_workers)
        stats = _stats(repaired, repairs, source, files) | {"left_out": left_out}
        write_json(stats_path, stats)
    return stats | {"skipped": False}


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


def _file_names(coco: dict) -> set[str]:
    return {image["file_name"] for image in coco["images"] if isinstance(image.get("file_name"), str)}


def _fingerprint(image_dir: str, annotations: str, num_shards: int) -> dict:
    digest = hashlib.sha256(Path(annotations).read_bytes()).hexdigest()
    return {"image_dir": str(image_dir), "annotations_sha256": digest, "num_shards": num_shards}


def _write_files(
    coco: dict, image_dir: Path, stats_path: Path, source: dict, overwrite: bool, num_workers: int
) -> dict:
    """The shards and the annotations; returns digests by file name. Meanwhile the split has no manifest."""
    folder, split = stats_path.parent, stats_path.stem.removeprefix("stats_")
    sweep(folder)
    stats_path.unlink(missing_ok=True)
    if overwrite:
        shards.forget(folder, split)
    names = {category["id"]: category["name"] for category in coco["categories"]}
    boxes = examples.boxes_by_image(coco)
    num_shards = source["num_shards"]
    files = shards.write_shards(
        folder,
        split,
        coco["images"],
        lambda image: examples.make_example(image, image_dir, boxes.get(image["id"], []), names),
        source | {"repaired_sha256": hashlib.sha256(json.dumps(coco).encode()).hexdigest()},
        num_shards,
        num_workers,
        ProgressLine(f"{split}: writing shards", num_shards).over,
    )
    annotation_path = folder / f"instances_{split}.json"
    write_json(annotation_path, coco)
    return files | {annotation_path.name: shards.digest(annotation_path)}


def _verified(stats_path: Path, source: dict) -> dict:
    try:
        stats = json.loads(stats_path.read_text(encoding="utf-8"))
        same, files = stats["source"] == source, dict(stats["files"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{str(stats_path)!r} is damaged; pass --overwrite. Received: it cannot be read") from None
    if not same:
        raise UsageError(
            f"--output_dir holds this split made from other input; pass --overwrite or another folder. "
            f"Received: {str(stats_path.parent)!r}"
        )
    shards.verify(stats_path.parent, files)
    return stats | {"skipped": True}


def _stats(repaired: dict, repairs: dict, source: dict, files: dict) -> dict:
    largest = max(category["id"] for category in repaired["categories"])
    boxes = collections.Counter(a["image_id"] for a in repaired["annotations"])
    return {
        "images": len(repaired["images"]),
        "images_without_boxes": len(repaired["images"]) - len(boxes),
        "boxes": len(repaired["annotations"]),
        "most_boxes_in_an_image": max(boxes.values(), default=0),
        "crowd_boxes": sum(a["iscrowd"] for a in repaired["annotations"]),
        "categories": len(repaired["categories"]),
        "category_names": {str(c["id"]): c["name"] for c in repaired["categories"]},
        "num_classes": largest + 1,  # what task.model.num_classes must be: label 0 is background
        "repairs": repairs,
        "source": source,
        "files": files,
    }
