"""A split in COCO layout to TFRecords for Model Garden, with the annotations to evaluate against."""

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from detection import atomic_files, coco_repair
from detection.errors import DetectionError
from detection.progress import ProgressLine

_DECODABLE = {"JPEG": "jpeg", "PNG": "png"}  # what the records hold; anything else is re-encoded as PNG


def prepare_split(
    image_dir: str,
    annotations: str,
    output_dir: str,
    split: str,
    num_shards: int = 1,
    overwrite: bool = False,
) -> dict:
    """Writes `<split>-*.tfrecord`, `instances_<split>.json` and, last, `stats_<split>.json` into
    `output_dir`.

    The stats file is the sign that the split is complete. When it is there and was made from the same input,
    the files are verified and nothing is written.

    Args:
      image_dir: folder of the images.
      annotations: COCO instances JSON.
      output_dir: created when missing.
      split: prefix of the files, e.g. "train".
      num_shards: at least 1; about 1,000 images a shard is a good size.
      overwrite: write anew whatever is there.

    Returns:
      The stats, with `skipped` True when the split was complete already.

    Raises:
      DetectionError: unusable input, or a finished split of another input without `overwrite`.
    """
    if num_shards < 1:
        raise DetectionError(f"--num_shards must be at least 1. Received: {num_shards}")
    if not Path(image_dir).is_dir():
        raise DetectionError(f"--image_dir must be a folder. Received: {image_dir!r}")
    coco = coco_repair.load_annotations(annotations)
    source = _fingerprint(image_dir, annotations, num_shards)
    stats_path = Path(output_dir) / f"stats_{split}.json"
    if stats_path.is_file() and not overwrite:
        return _verified(stats_path, source)
    line = ProgressLine(f"{split}: checking images", len(coco["images"]))
    repaired, repairs = coco_repair.repair(coco, image_dir, line.over)
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    shards = _write_shards(repaired, Path(image_dir), Path(output_dir), split, num_shards)
    atomic_files.write_json(Path(output_dir) / f"instances_{split}.json", repaired, indent=None)
    stats = _stats(repaired, repairs, source, shards, f"instances_{split}.json")
    atomic_files.write_json(stats_path, stats)
    return stats | {"skipped": False}


def _fingerprint(image_dir: str, annotations: str, num_shards: int) -> dict:
    digest = hashlib.sha256(Path(annotations).read_bytes()).hexdigest()
    return {"image_dir": str(image_dir), "annotations_sha256": digest, "num_shards": num_shards}


def _verified(stats_path: Path, source: dict) -> dict:
    try:
        stats = json.loads(stats_path.read_text(encoding="utf-8"))
        same, files = stats["source"] == source, stats["files"]
    except (ValueError, KeyError, TypeError):
        raise DetectionError(f"{str(stats_path)!r} is damaged; pass --overwrite. Received: it cannot be read") from None
    if not same:
        raise DetectionError(
            f"--output_dir holds this split made from other input; pass --overwrite or another folder. "
            f"Received: {str(stats_path.parent)!r}"
        )
    for name, size in files.items():
        path = stats_path.parent / name
        if not path.is_file() or path.stat().st_size != size:
            raise DetectionError(f"a prepared file is missing or cut short; pass --overwrite. Received: {str(path)!r}")
    return stats | {"skipped": True}


def _stats(repaired: dict, repairs: dict, source: dict, files: dict, annotation_name: str) -> dict:
    annotation_size = (Path(files.pop("")) / annotation_name).stat().st_size
    largest = max(category["id"] for category in repaired["categories"])
    return {
        "images": len(repaired["images"]),
        "boxes": len(repaired["annotations"]),
        "crowd_boxes": sum(a["iscrowd"] for a in repaired["annotations"]),
        "categories": len(repaired["categories"]),
        "num_classes": largest + 1,  # what task.model.num_classes must be: label 0 is background
        "repairs": repairs,
        "source": source,
        "files": files | {annotation_name: annotation_size},
    }


def _write_shards(coco: dict, image_dir: Path, output_dir: Path, split: str, num_shards: int) -> dict:
    """Writes beside the final place, then renames. Returns sizes by file name, and "" -> the folder."""
    from official.vision.data import tfrecord_lib

    for stale in output_dir.glob(f"{split}-*-of-*.tfrecord"):
        stale.unlink()  # another number of shards would leave files that `train-*` still matches
    line = ProgressLine(f"{split}: writing records", len(coco["images"]))
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=output_dir) as partial:
        tfrecord_lib.write_tf_record_dataset(
            str(Path(partial) / split),
            line.over(list(_examples_input(coco, image_dir))),
            make_example,
            num_shards,
            multiple_processes=0,
        )
        sizes = {"": str(output_dir)}
        for path in sorted(Path(partial).iterdir()):
            sizes[path.name] = path.stat().st_size
            path.replace(output_dir / path.name)
    return sizes


def _examples_input(coco: dict, image_dir: Path) -> Iterator[tuple]:
    names = {category["id"]: category["name"] for category in coco["categories"]}
    boxes: dict[int, list] = {}
    for annotation in coco["annotations"]:
        boxes.setdefault(annotation["image_id"], []).append(annotation)
    for image in coco["images"]:
        yield image, image_dir, boxes.get(image["id"], []), names


def make_example(image: dict, image_dir: Path, annotations: list[dict], names: dict[int, str]) -> tuple:
    """One `tf.train.Example` as Model Garden's `TfExampleDecoder` reads it, and 0, the boxes left out.

    Boxes are stored as fractions of the image's sides, labels are category ids, `image/source_id` the image
    id as a decimal string (the evaluator turns it back into a number).
    """
    import tensorflow as tf
    from official.vision.data import tfrecord_lib

    encoded, encoding = _encoded(image_dir / image["file_name"])
    width, height = image["width"], image["height"]
    features = tfrecord_lib.image_info_to_feature_dict(
        height, width, image["file_name"], image["id"], encoded, encoding
    )
    boxes = [a["bbox"] for a in annotations]
    columns = {
        "bbox/xmin": ([x / width for x, _, _, _ in boxes], "float_list"),
        "bbox/xmax": ([min((x + w) / width, 1.0) for x, _, w, _ in boxes], "float_list"),
        "bbox/ymin": ([y / height for _, y, _, _ in boxes], "float_list"),
        "bbox/ymax": ([min((y + h) / height, 1.0) for _, y, _, h in boxes], "float_list"),
        "class/text": ([names[a["category_id"]].encode("utf8") for a in annotations], "bytes_list"),
        "class/label": ([a["category_id"] for a in annotations], "int64_list"),
        "is_crowd": ([a["iscrowd"] for a in annotations], "int64_list"),
        "area": ([a["area"] for a in annotations], "float_list"),
    }
    for name, (values, kind) in columns.items():
        features[f"image/object/{name}"] = tfrecord_lib.convert_to_feature(values, kind)
    return tf.train.Example(features=tf.train.Features(feature=features)), 0


def _encoded(path: Path) -> tuple[bytes, str]:
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        if picture.format in _DECODABLE:
            return content, _DECODABLE[picture.format]
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, format="PNG")
        return buffer.getvalue(), "png"
