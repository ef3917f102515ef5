"""Shared fixtures. TensorFlow is imported once, with the settings that the command lines use."""

import os
from pathlib import Path

import pytest

from dartsminus_tf import runtime

runtime.configure()

import keras  # noqa: E402

from dartsminus_tf.config import SearchConfig  # noqa: E402
from dartsminus_tf.foundation.config.typed import load_config  # noqa: E402
from tests.finished_run import old_run, with_digests  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

TINY_SEARCH = [
    "data.image_size=8",
    "data.batch_size=8",
    "data.train_limit=64",
    "data.test_limit=32",
    "data.augment.crop_padding=1",
    "data.augment.flip=false",
    "channels=2",
    "layers=3",
    "epochs=2",
    "steps_per_epoch=2",
    "runtime.verbose=0",
]

# The files that take longest, which begin first: a worker has a whole file, and the last one would run alone.
LONGEST = (
    *("test_detection_cli", "test_analysis", "test_bilevel", "test_legacy", "test_progressive", "test_nasbench201"),
    *("test_golden", "test_runs", "test_status", "test_early_stop", "test_detection_distribution", "test_flops"),
    *("test_legacy_detector", "test_families", "test_detection_status", "test_mobilenet", "test_detection_tfds"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def shared_folder() -> Path:
    """Where reference vectors and data sets are: $DARTSMINUS_SHARED, or `../shared` beside the checkout."""
    return Path(os.environ.get("DARTSMINUS_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def golden() -> Path:
    folder = shared_folder() / "golden"
    if not folder.is_dir():
        pytest.skip(f"the reference vectors are not at {folder} (set DARTSMINUS_SHARED)")
    return folder


@pytest.fixture(scope="session")
def cifar10_dir() -> Path:
    folder = shared_folder() / "data" / "tfds"
    if not folder.is_dir():
        pytest.skip(f"CIFAR-10 is not prepared in {folder} (set DARTSMINUS_SHARED)")
    return folder


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(1)


@pytest.fixture(scope="session")
def old(tmp_path_factory) -> Path:
    """A finished training of before there were digests."""
    return old_run(tmp_path_factory.mktemp("old"))


@pytest.fixture
def run(old, tmp_path) -> Path:
    """The same with digests, of a test's own."""
    return with_digests(old, tmp_path / "run")


@pytest.fixture(scope="session")
def tiny_config() -> SearchConfig:
    """A search that takes seconds: 8x8 digits, two channels, three cells, two epochs of two steps."""
    return load_config(SearchConfig, overrides=TINY_SEARCH)
