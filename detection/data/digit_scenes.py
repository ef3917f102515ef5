"""Digit scenes: a small real-image detection set that needs no download.

Scikit-learn's 1,797 handwritten digits (8x8 pixels, 0..16) are enlarged and placed on textured canvases.
Train and val use disjoint digits, so a validation score is about digits nobody trained on. In COCO layout:
category ids 1..10 are named "0".."9".
"""

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from dartsminus_tf.foundation.disk.files import write_json
from dartsminus_tf.foundation.errors import UsageError, require

CATEGORIES = [{"id": digit + 1, "name": str(digit), "supercategory": "digit"} for digit in range(10)]
_INK = 0.25  # alpha above which a pixel belongs to the digit; bounds the box
_PLACEMENT_TRIES = 40


@dataclasses.dataclass(frozen=True)
class SceneOptions:
    """What a scene looks like.

    Attributes:
      canvas: side of the square canvas in pixels, at least 64.
      min_digits, max_digits: digits a scene.
      min_size, max_size: side of an enlarged 8x8 digit as a fraction of the canvas.
      max_overlap: greatest intersection over the smaller box between two digits of a scene.
    """

    canvas: int = 256
    min_digits: int = 2
    max_digits: int = 6
    min_size: float = 0.16
    max_size: float = 0.42
    max_overlap: float = 0.1

    def __post_init__(self):
        if self.canvas < 64:
            raise UsageError(f"--canvas must be at least 64 pixels. Received: {self.canvas}")
        if not 1 <= self.min_digits <= self.max_digits:
            raise UsageError(f"min_digits must be in [1, max_digits]. Received: {self.min_digits}")


def load_digit_pool() -> tuple[np.ndarray, np.ndarray]:
    """All digits, `[1797, 8, 8]` float in [0, 1], and their labels `[1797]` in 0..9."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.float32) / 16.0, digits.target.astype(int)


def split_pool(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint indices of the digits for train and val: a fifth of every class is val, always the same one.

    It is the split of the classification set `digits`, so a backbone that was trained on that set has not seen the
    digits of a validation scene either.
    """
    from sklearn.model_selection import train_test_split

    train, val = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0, stratify=labels)
    return np.sort(train), np.sort(val)


def is_drawn(folder: str, split: str, num_scenes: int, seed: int, options: SceneOptions) -> bool:
    """Whether `write_split` has finished this split.

    Raises:
      UsageError: scenes of other options are there.
    """
    _, annotations = _places(folder, split)
    if not annotations.is_file():
        return False
    try:
        found = json.loads(annotations.read_text(encoding="utf-8"))["info"]
    except (ValueError, KeyError, TypeError):
        found = None
    if found != _info(split, num_scenes, seed, options):
        raise UsageError(
            f"--output_dir holds other digit scenes; pass --overwrite or another folder. Received: {str(annotations)!r}"
        )
    return True


def _places(folder: str, split: str) -> tuple[Path, Path]:
    return Path(folder) / "images" / split, Path(folder) / "annotations" / f"instances_{split}.json"


def _info(split: str, num_scenes: int, seed: int, options: SceneOptions) -> dict:
    return {"seed": seed, "split": split, "num_scenes": num_scenes} | dataclasses.asdict(options)


def write_split(
    folder: str,
    split: str,
    num_scenes: int,
    seed: int,
    options: SceneOptions,
    progress: Callable[[Iterable], Iterable] = iter,
    overwrite: bool = False,
) -> tuple[str, str]:
    """Writes `images/<split>/*.jpg` and `annotations/instances_<split>.json` under `folder`.

    Args:
      split: "train" or "val"; each draws from its own digits.
      num_scenes: at least 1.
      seed: the same seed gives the same files.
      overwrite: draw anew; otherwise a finished split of the same options is kept, of others refused.

    Returns:
      (image folder, annotation file).
    """
    require(num_scenes >= 1, f"--num_{split} must be at least 1", num_scenes)
    image_dir, annotations = _places(folder, split)
    if not overwrite and is_drawn(folder, split, num_scenes, seed, options):
        return str(image_dir), str(annotations)
    image_dir.mkdir(parents=True, exist_ok=True)
    pool, labels = load_digit_pool()
    indices = dict(zip(("train", "val"), split_pool(labels), strict=True))[split]
    info = _info(split, num_scenes, seed, options)
    coco: dict = {"info": info, "categories": CATEGORIES, "images": [], "annotations": []}
    generator = np.random.default_rng([seed, 1 if split == "train" else 2])
    for number in progress(range(1, num_scenes + 1)):
        scene, boxes, used = draw_scene(pool, indices, generator, options)
        name = f"{number:06d}.jpg"
        Image.fromarray(scene).save(image_dir / name, quality=92)
        coco["images"].append({"id": number, "file_name": name, "width": options.canvas, "height": options.canvas})
        for box, index in zip(boxes, used, strict=True):
            coco["annotations"].append(_entry(len(coco["annotations"]) + 1, number, box, labels[index], index))
    write_json(annotations, coco)
    return str(image_dir), str(annotations)


def _entry(number: int, image_id: int, box: list[int], label: int, index: int) -> dict:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": int(label) + 1,
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
        "digit_index": int(index),  # which of scikit-learn's digits: lets a test prove that the splits are disjoint
    }


def draw_scene(
    pool: np.ndarray, indices: np.ndarray, generator: np.random.Generator, options: SceneOptions
) -> tuple[np.ndarray, list[list[int]], list[int]]:
    """One scene: image `[canvas, canvas, 3]` uint8, boxes `[x, y, w, h]` in pixels, indices into `pool`."""
    scene = _texture(generator, options.canvas)
    boxes, used = [], []
    for index in generator.choice(indices, generator.integers(options.min_digits, options.max_digits + 1)):
        side = round(options.canvas * generator.uniform(options.min_size, options.max_size))
        alpha = _enlarge(pool[index], side, generator.uniform(-12, 12))
        box = _place(_ink_box(alpha), side, boxes, generator, options)
        if box is None:
            continue
        (left, top), tight = box
        ink = generator.uniform(0.65, 1.0) * (1.0 - generator.uniform(0, 0.45, 3))
        ink = np.maximum(ink, scene.mean((0, 1)) + 0.25).clip(0, 1)  # stays readable on the brightest canvas
        patch = scene[top : top + side, left : left + side]
        patch += alpha[..., None] * (ink.astype(np.float32) - patch)
        boxes.append(tight)
        used.append(int(index))
    noisy = scene + 0.015 * generator.standard_normal(scene.shape, np.float32)
    return (noisy.clip(0, 1) * 255).round().astype(np.uint8), boxes, used


def _texture(generator: np.random.Generator, side: int) -> np.ndarray:
    """Smooth noise at three scales over a random dark colour, `[side, side, 3]` in [0, 1]."""
    canvas = np.full((side, side, 3), generator.uniform(0.05, 0.35, 3), np.float32)
    for cells, strength in ((3, 0.10), (9, 0.06), (32, 0.04)):
        noise = (generator.uniform(-1, 1, (cells, cells)) * 127 + 128).astype(np.uint8)
        smooth = np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC), np.float32)
        canvas += strength * (smooth[..., None] / 127.5 - 1.0) * generator.uniform(0.5, 1.0, 3).astype(np.float32)
    return canvas.clip(0, 1)


def _enlarge(digit: np.ndarray, side: int, degrees: float) -> np.ndarray:
    """The 8x8 digit as coverage `[side, side]` in [0, 1], smoothly enlarged and slightly turned."""
    digit = np.pad(digit, 1)  # strokes that touch the edge would end in a hard cut
    picture = Image.fromarray((digit * 255).astype(np.uint8))
    picture = picture.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(picture.rotate(degrees, Image.Resampling.BILINEAR), np.float32) / 255.0


def _ink_box(alpha: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero((alpha > _INK).any(1)), np.flatnonzero((alpha > _INK).any(0))
    return [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]


def _place(ink, side, boxes, generator, options) -> tuple[tuple[int, int], list[int]] | None:
    for _ in range(_PLACEMENT_TRIES):
        left, top = (int(v) for v in generator.integers(0, options.canvas - side + 1, 2))
        box = [left + ink[0], top + ink[1], ink[2], ink[3]]
        if all(_overlap(box, other) <= options.max_overlap for other in boxes):
            return (left, top), box
    return None  # the canvas is full


def _overlap(a: list[int], b: list[int]) -> float:
    """Intersection over the smaller of two `[x, y, w, h]` boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0) / min(a[2] * a[3], b[2] * b[3])
