"""A folder of images: `root/train/<class>/*` with `root/test/<class>/*` (or `val`), or `root/<class>/*` alone.

Without a test folder, a fixed fifth of every class is held out as the test split. The images of a split come in a fixed
random order, so that a buffer which holds a part of them mixes all classes.
"""

import random
from pathlib import Path

import tensorflow as tf
from sklearn.model_selection import train_test_split

from dartsminus_tf.config import DataConfig
from dartsminus_tf.data.source import Source, Split
from dartsminus_tf.foundation.errors import UsageError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}
TEST_FOLDERS = ("test", "val", "validation")
HELD_OUT, SPLIT_SEED = 0.2, 0


def folder_source(config: DataConfig) -> Source:
    """The images under `config.data_dir`; classes are the sorted names of the class folders."""
    root = config.data_dir
    path = Path(root)
    if not path.is_dir():
        raise UsageError(f"data_dir of data set 'folder' must be a directory. Received: {root}")
    test_folder = next((path / name for name in TEST_FOLDERS if (path / name).is_dir()), None)
    if (path / "train").is_dir() and test_folder is not None:
        classes = _class_names(path / "train")
        train, test = _files(path / "train", classes), _files(test_folder, classes)
    else:
        classes = _class_names(path)
        files = _files(path, classes)
        labels = [label for _, label in files]
        if not files or min(labels.count(index) for index in range(len(classes))) < 2:
            raise UsageError(
                f"Every class folder needs at least two images. Received: {_poorest(path, classes, labels)}"
            )
        share = max(HELD_OUT, len(classes) / len(files))
        train, test = train_test_split(files, test_size=share, random_state=SPLIT_SEED, stratify=labels)
    if not train or not test:
        raise UsageError(f"No images ({', '.join(sorted(SUFFIXES))}) found in the class folders. Received: {root}")
    return Source("folder", _split(train), _split(test), tuple(classes))


def _poorest(path: Path, classes: list[str], labels: list[int]) -> str:
    """The class folder with the fewest images, and how many it has."""
    index = min(range(len(classes)), key=labels.count)
    return f"{labels.count(index)} in {path / classes[index]}"


def _class_names(path: Path) -> list[str]:
    names = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        raise UsageError(f"An image folder needs at least two class folders. Received: {path}")
    return names


def _files(path: Path, classes: list[str]) -> list[tuple[str, int]]:
    """(file, label) of all images of the class folders in `path`, in a fixed random order."""
    files = [
        (str(file), index)
        for index, name in enumerate(classes)
        for file in sorted((path / name).rglob("*"))
        if file.suffix.lower() in SUFFIXES
    ]
    random.Random(SPLIT_SEED).shuffle(files)
    return files


def _split(files: list[tuple[str, int]]) -> Split:
    paths, labels = [path for path, _ in files], [label for _, label in files]

    def stream():
        data = tf.data.Dataset.from_tensor_slices((paths, labels))
        return data.map(lambda path, label: (tf.io.read_file(path), label), num_parallel_calls=tf.data.AUTOTUNE)

    return Split(len(files), stream)
