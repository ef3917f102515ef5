"""A split in COCO layout to TFRecords for Model Garden, with the annotations to evaluate against."""

import collections
import hashlib
import json
from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.files import write_json
from dartsminus_tf.foundation.progress import ProgressLine
from detection.coco import repair
from detection.data import examples, shards


def prepare_split(
    image_dir: str,
    annotations: str,
    output_dir: str,
    split: str,
    num_shards: int = 1,
    overwrite: bool = False,
    num_workers: int = 1,
) -> dict:
    """Writes `<split>-*.tfrecord`, `instances_<split>.json` and, last, `stats_<split>.json` into
    `output_dir`.

    The stats file is the manifest: the sign that the split is complete, with the checksum of every file. When it is
    there and was made from the same input, the files are verified and nothing is written. An interrupted call is
    gone on with by the same call: finished shards are kept.

    Args:
      image_dir: folder of the images.
      annotations: COCO instances JSON.
      output_dir: created when missing.
      split: prefix of the files, e.g. "train".
      num_shards: at least 1; about 1,000 images a shard is a good size.
      overwrite: write anew whatever is there.
      num_workers: images checked, and shards written, in parallel.

    Returns:
      The stats, with `skipped` True when the split was complete already.

    Raises:
      UsageError: unusable input, or a finished split of another input without `overwrite`.
    """
    for name, number in (("num_shards", num_shards), ("num_workers", num_workers)):
        if number < 1:
            raise UsageError(f"--{name} must be at least 1. Received: {number}")
    if not Path(image_dir).is_dir():
        raise UsageError(f"--image_dir must be a folder. Received: {image_dir!r}")
    coco = repair.load_annotations(annotations)
    source = _fingerprint(image_dir, annotations, num_shards)
    folder = Path(output_dir)
    stats_path = folder / f"stats_{split}.json"
    if stats_path.is_file() and not overwrite:
        return _verified(stats_path, source)
    line = ProgressLine(f"{split}: checking images", len(coco["images"]))
    repaired, repairs = repair.repair(coco, image_dir, line.over, num_workers)
    folder.mkdir(parents=True, exist_ok=True)
    stats_path.unlink(missing_ok=True)
    if overwrite:
        shards.forget(folder, split)
    files = _write_files(repaired, Path(image_dir), folder, split, source, num_workers)
    stats = _stats(repaired, repairs, source, files)
    write_json(stats_path, stats)
    return stats | {"skipped": False}


def _fingerprint(image_dir: str, annotations: str, num_shards: int) -> dict:
    digest = hashlib.sha256(Path(annotations).read_bytes()).hexdigest()
    return {"image_dir": str(image_dir), "annotations_sha256": digest, "num_shards": num_shards}


def _write_files(coco: dict, image_dir: Path, folder: Path, split: str, source: dict, num_workers: int) -> dict:
    """The shards and the annotations; returns digests by file name."""
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
