"""A folder of images: `root/train/<class>/*` with `root/test/<class>/*` (or `val`), or `root/<class>/*` alone.

Beside a `test` a `val` is what a training validates on.

The images of a split come in a fixed random order, so that a buffer which holds a part of them mixes all classes. Of
those that cannot be used each is named and left out.
"""

import collections
import os
from pathlib import Path

import tensorflow as tf

from dartsminus_tf.config import DataConfig
from dartsminus_tf.data import class_folders
from dartsminus_tf.data.source import Source, Split
from dartsminus_tf.data.usable import Picture, usable
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import shown
from dartsminus_tf.foundation.pictures.reading import PictureError, as_bitmap, name_left_out
from dartsminus_tf.foundation.runs.content import described


def folder_source(config: DataConfig) -> Source:
    """The images under `config.data_dir`; classes are the sorted names of the class folders.

    Raises:
        UsageError: no folder, none of the layouts above, or a class without a picture that can be used.
    """
    root = Path(config.data_dir)
    if not root.is_dir():
        raise UsageError(f"data_dir of data set 'folder' must be a directory. Received: {shown(root)}")
    found = class_folders.find(root, config.validates_on == "auto")
    limits = {"train": config.train_limit, "test": config.test_limit, "validation": config.test_limit}
    checked = {name: usable(files, limits[name]) for name, files in found.splits.items()}
    faults = sum((faults for _, faults in checked.values()), found.faults)
    name_left_out(faults, found.remarks)
    _require_every_class(found, checked["train"][1])
    for name, (pictures, wrong) in checked.items():
        if not pictures:
            raise UsageError(f"No picture of the {name} can be used ({wrong[0].reason}). Received: {shown(root)}")
    left_out = {os.fspath(fault.path): fault.reason for fault in faults}
    content = {name: _content(pictures, root) for name, (pictures, _) in checked.items()}
    splits = {name: _split(pictures) for name, (pictures, _) in checked.items()}
    return Source("folder", class_names=tuple(found.classes), left_out=left_out, content=content, **splits)


def _content(pictures: list[Picture], root: Path) -> str:
    """Names within the folder, sizes in bytes and classes."""
    within = ((os.fsencode(picture.path.relative_to(root)), picture) for picture in pictures)
    entries = sorted((name.hex(), picture.path.stat().st_size, picture.label) for name, picture in within)
    return described(len(pictures), "pictures", entries)


def _require_every_class(found: class_folders.Found, faults: list[PictureError]) -> None:
    bad = {fault.path for fault in faults}
    names = collections.Counter(label for path, label in found.train if path not in bad)
    for label, name in enumerate(found.classes):
        if not names[label]:
            raise UsageError(f"No training picture of a class can be used. Received: class {shown(name)!r}")


def _split(pictures: list[Picture]) -> Split:
    paths = [os.fsencode(picture.path) for picture in pictures]
    labels, plain = [picture.label for picture in pictures], [picture.is_plain for picture in pictures]

    def encoded(path, is_plain):
        return tf.cond(is_plain, lambda: tf.io.read_file(path), lambda: tf.numpy_function(_bitmap, [path], tf.string))

    def stream():
        data = tf.data.Dataset.from_tensor_slices((paths, labels, plain))
        if all(plain):
            load = lambda path, label, _: (tf.io.read_file(path), label)  # noqa: E731
        else:
            load = lambda path, label, is_plain: (encoded(path, is_plain), label)  # noqa: E731
        return data.map(load, num_parallel_calls=tf.data.AUTOTUNE)

    def select(indices):
        return _split([pictures[index] for index in indices]).stream()

    return Split(len(pictures), stream, labels, select)


def _bitmap(path: bytes) -> bytes:
    return as_bitmap(os.fsdecode(path))
