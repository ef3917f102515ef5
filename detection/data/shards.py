"""TFRecord shards written in parallel, each with its checksum; what an interrupted call finished is kept."""

import concurrent.futures
import glob
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dartsminus_tf.foundation.config.paths import absolute
from dartsminus_tf.foundation.disk.digests import file_digest
from dartsminus_tf.foundation.disk.files import replacing, write_json
from dartsminus_tf.foundation.errors import UsageError

Digest = dict[str, object]  # {"bytes": size, "sha256": hex}


def shard_name(split: str, index: int, num_shards: int) -> str:
    """`train-00003-of-00128.tfrecord`."""
    return f"{split}-{index:05d}-of-{num_shards:05d}.tfrecord"


def split_of(name: str) -> str | None:
    """The split that a file of this name is a shard of; None for another file."""
    match = re.fullmatch(r"(.+)-\d+-of-\d+\.tfrecord", name)
    return match and match[1]


def input_patterns(input_path: str | Sequence[str]) -> list[str]:
    """File patterns of a DataConfig's `input_path`: a list, or text with commas (but those of a file that is there)."""
    if isinstance(input_path, list | tuple):
        return [str(part) for part in input_path] or [""]
    if "," in input_path and matching_files(input_path):
        return [input_path]
    return [part.strip() for part in input_path.split(",") if part.strip()] or [""]


def absolute_patterns(input_path: str | Sequence[str]) -> str | list[str]:
    """`input_path` with patterns from the root on."""
    patterns = list(map(_absolute, input_patterns(input_path)))
    has_commas = isinstance(input_path, list | tuple) or any("," in pattern for pattern in patterns)
    return patterns if has_commas else ",".join(patterns)


def _absolute(pattern: str) -> str:
    """A folder that is there is kept as it stands, as `foundation.config.paths` keeps a file."""
    folder, name = os.path.split(pattern)
    if os.path.isdir(folder) and "$" not in name:
        return os.path.join(absolute(folder), name)
    return absolute(pattern)


def matching_files(pattern: str) -> list[str]:
    """The files that match, in order; brackets and stars of a folder or file that is there stand for themselves."""
    folder, name = os.path.split(pattern)
    folder = glob.escape(folder) if os.path.isdir(folder) else folder
    return sorted(glob.glob(os.path.join(folder, glob.escape(name) if os.path.lexists(pattern) else name)))


def input_files(input_path: str | Sequence[str]) -> list[str]:
    """All files of an `input_path`."""
    return [file for pattern in input_patterns(input_path) for file in matching_files(pattern)]


def write_shards(
    folder: Path,
    split: str,
    images: list[dict],
    make_example: Callable[[dict], object],
    source: dict,
    num_shards: int,
    num_workers: int,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Digest]:
    """Writes image i into shard i modulo `num_shards`.

    A finished shard is noted in `.<split>.journal.json`, so the same call goes on where an interrupted one stopped.

    Args:
      folder: exists.
      split: prefix of the files.
      images: entries that `make_example` turns into `tf.train.Example`s.
      source: what the shards are made from; a journal of another source is void.
      num_shards, num_workers: at least 1.
      progress: wraps the loop over finished shards.

    Returns:
      Size and SHA-256 by file name.
    """
    journal = _Journal(_journal_path(folder, split), source)
    names = [shard_name(split, index, num_shards) for index in range(num_shards)]
    for stale in folder.glob("*.tfrecord"):
        if split_of(stale.name) != split:
            continue
        if stale.name not in names or journal.done.get(stale.name) != digest(stale):
            stale.unlink()  # another number of shards would leave files that `train-*` still matches
            journal.done.pop(stale.name, None)
    missing = [index for index, name in enumerate(names) if not (folder / name).is_file()]
    with concurrent.futures.ThreadPoolExecutor(num_workers) as pool:
        futures = [
            pool.submit(_write_shard, folder / names[index], images[index::num_shards], make_example)
            for index in missing
        ]
        try:
            for future in progress(concurrent.futures.as_completed(futures)):
                journal.add(*future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    done = {name: journal.done[name] for name in names}
    journal.remove()
    return done


def is_begun(folder: Path, split: str) -> bool:
    """Whether a call of `write_shards` has not come to its end."""
    return _journal_path(folder, split).is_file()


def forget(folder: Path, split: str) -> None:
    """Makes the next call of `write_shards` begin anew."""
    _journal_path(folder, split).unlink(missing_ok=True)


def _journal_path(folder: Path, split: str) -> Path:
    return folder / f".{split}.journal.json"


def _write_shard(path: Path, images: list[dict], make_example: Callable[[dict], object]) -> tuple[str, Digest]:
    import tensorflow as tf

    with replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for image in images:
            writer.write(make_example(image).SerializeToString())
        writer.flush()
    return path.name, digest(path)


def digest(path: Path) -> Digest:
    """Size and SHA-256 of a file."""
    return {"bytes": path.stat().st_size, "sha256": file_digest(path)}


def verify(folder: Path, files: dict[str, Digest]) -> None:
    """Checks every file against its digest.

    Raises:
      UsageError: one is missing, cut short or changed.
    """
    for name, expected in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != expected["bytes"]:
            raise UsageError(f"a prepared file is missing or cut short; pass --overwrite. Received: {str(path)!r}")
        if digest(path) != expected:
            raise UsageError(f"a prepared file has another checksum; pass --overwrite. Received: {str(path)!r}")


class _Journal:
    """Digests of finished shards, on disk after each; empty where it is absent, damaged or of another source."""

    def __init__(self, path: Path, source: dict):
        self._path, self._source = path, source
        self.done: dict[str, Digest] = {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["source"] == source:
                self.done = found["done"]
        except (OSError, ValueError, KeyError, TypeError):
            self.done = {}

    def add(self, name: str, entry: Digest) -> None:
        self.done[name] = entry
        write_json(self._path, {"source": self._source, "done": self.done})

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
