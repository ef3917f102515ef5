"""Which files of class folders can be used: each is decoded once before the first step; no epoch meets a bad one.

TensorFlow decodes JPEGs and PNGs that need no turn, as it always did; what it cannot show as it is meant to be seen
(turned by EXIF data, other formats) is read by `foundation.pictures.reading`.
"""

import concurrent.futures
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from dartsminus_tf.data.source import decode
from dartsminus_tf.foundation.pictures import reading as pictures
from dartsminus_tf.foundation.pictures.reading import LEFT_OUT, PictureError
from dartsminus_tf.foundation.progress import ProgressLine
from dartsminus_tf.foundation.runs.directory import RunDirectory

_CHUNK = 4096  # files that are looked at together
_MANY = 20_000  # files from which on progress is printed


@dataclass(frozen=True)
class Picture:
    """A file that can be used, its class, and whether TensorFlow's own decoders show it right."""

    path: Path
    label: int
    is_plain: bool


def usable(files: list[tuple[Path, int]], limit: int | None = None) -> tuple[list[Picture], list[PictureError]]:
    """The pictures among `files` that can be used, in their order, and what is wrong with the others.

    Args:
        files: (file, class number).
        limit: so many pictures are enough; further files are not looked at.
    """
    found: list[Picture] = []
    faults: list[PictureError] = []
    chunks = [files[first : first + _CHUNK] for first in range(0, len(files), _CHUNK)]
    line = ProgressLine(f"checking pictures, by {_CHUNK:,}", len(chunks))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk in line.over(chunks) if len(files) >= _MANY else chunks:
            if limit is not None and len(found) >= limit:
                break
            for (path, label), seen in zip(chunk, _checked([path for path, _ in chunk], pool), strict=True):
                if isinstance(seen, PictureError):
                    faults.append(seen)
                else:
                    found.append(Picture(path, label, seen))
    return found, faults


def _checked(paths: list[Path], pool: concurrent.futures.Executor) -> Iterable[bool | PictureError]:
    """For each file whether it is plain, or what is wrong with it."""
    seen = dict(enumerate(pool.map(_plain, paths)))
    plain = [number for number, outcome in seen.items() if outcome is True]
    decoded = _decodable([paths[number] for number in plain])
    others = [number for number, outcome in seen.items() if outcome is False]
    others += [number for place, number in enumerate(plain) if place not in decoded]
    seen.update(zip(others, pool.map(_readable, [paths[number] for number in others]), strict=True))
    return seen.values()


def _plain(path: Path) -> bool | PictureError:
    try:
        return pictures.look(path).is_plain
    except PictureError as error:
        return error


def _readable(path: Path) -> bool | PictureError:
    """False, it is not plain, or what is wrong with it."""
    try:
        pictures.read(path)
    except PictureError as error:
        return error
    return False


def _decodable(paths: list[Path]) -> set[int]:
    """Numbers of the files that TensorFlow decodes; JPEG at an eighth of its size, for speed."""

    def height(number, path):
        encoded = tf.io.read_file(path)
        coarse = lambda: tf.io.decode_jpeg(encoded, channels=3, ratio=8)  # noqa: E731
        return number, tf.shape(tf.cond(tf.io.is_jpeg(encoded), coarse, lambda: decode(encoded)))[0]

    names = tf.constant([os.fsencode(path) for path in paths], tf.string)
    data = tf.data.Dataset.from_tensor_slices(names).enumerate()
    data = data.map(height, tf.data.AUTOTUNE).ignore_errors()
    return {int(number) for number, _ in data.as_numpy_iterator()}


def keep_left_out(run: RunDirectory, left_out: dict[str, str]) -> None:
    """Write what is left out of a run's data, and why, to its `left_out.json`; nothing where nothing is left out."""
    if left_out:
        run.write_json(LEFT_OUT, left_out)
    else:
        (run.path / LEFT_OUT).unlink(missing_ok=True)
