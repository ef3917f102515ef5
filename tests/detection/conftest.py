"""Fixtures of the detection tests: environment, the tiny backbone, a small prepared data set."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from detection.cli.environment import prepare_environment

prepare_environment()  # before any test module imports TensorFlow

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def coco128() -> Path:
    """Folder of 128 real COCO images; the test is skipped where it is absent."""
    shared = Path(os.environ.get("DARTSMINUS_SHARED") or REPOSITORY.parent / "shared")
    for folder in (shared / "coco128", shared / "data" / "coco128"):
        if folder.is_dir():
            return folder
    pytest.skip(f"no coco128 under {shared}; set DARTSMINUS_SHARED")


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory) -> str:
    """An exported backbone of a few thousand parameters with levels 3, 4 and 5."""
    from fixture_backbone import save_backbone

    return save_backbone(tmp_path_factory.mktemp("backbone") / "saved_model")


@pytest.fixture(scope="session")
def digit_records(tmp_path_factory) -> Path:
    """Prepared digit scenes: 8 for training, 4 for validation, 128 pixels wide."""
    from detection.cli import prepare_coco

    folder = tmp_path_factory.mktemp("digits")
    code = prepare_coco.run(
        ["prepare_coco", "--mode=digit_scenes", f"--output_dir={folder}"]
        + ["--num_train=8", "--num_val=4", "--canvas=128"]
    )
    if code:
        pytest.fail(f"prepare_coco exited with {code}")
    return folder


@pytest.fixture
def coco_folder(tmp_path):
    """Three images, 40 x 30 pixels: (image folder, a sound COCO dict, a writer of its JSON)."""
    images = tmp_path / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    for number in (1, 2, 3):
        Image.fromarray(generator.integers(0, 255, (30, 40, 3), np.uint8)).save(images / f"{number}.jpg")
    coco = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 40, "height": 30} for n in (1, 2, 3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 12], "area": 120, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [20, 5, 15, 20], "area": 300, "iscrowd": 1},
            {"id": 3, "image_id": 2, "category_id": 7, "bbox": [0, 0, 40, 30], "area": 1200, "iscrowd": 0},
        ],
    }

    def write(value) -> str:
        path = tmp_path / "instances.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return str(path)

    return images, coco, write


@pytest.fixture
def prepared(coco_folder, tmp_path):
    """Both splits with two shards each, and how to prepare one again."""
    from detection.data.records import prepare_split

    images, coco, write = coco_folder
    annotations, out = write(coco), tmp_path / "out"

    def prepare(split="train", **more) -> dict:
        return prepare_split(str(images), annotations, str(out), split, 2, **more)

    prepare("train")
    prepare("val")
    return SimpleNamespace(images=images, out=out, prepare=prepare, annotations=annotations)
