"""Whether the shards that a pattern matches belong to splits whose preparation came to its end."""

import collections
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.status import StatusFile
from detection.data import shards
from detection.data.stats import stats_path

_MOST_NAMED = 10**5


def prepared_splits(patterns: Sequence[str]) -> set[tuple[Path, str]]:
    """Folder and name of the splits with a manifest whose shards match.

    Raises:
      UsageError: a split without a manifest is half prepared: its preparation runs, was stopped or was killed, or one
        of its shards is not there. Records of another origin have no manifest; theirs must all be there too, unless
        the pattern names single files.
    """
    found = set()
    for pattern in patterns:
        for folder, split in {
            (path.parent, shards.split_of(path.name)) for path in map(Path, shards.matching_files(pattern))
        }:
            if split is None:
                continue
            if stats_path(folder, split).is_file():
                found.add((folder, split))
            else:
                _require_finished(folder, split, not os.path.lexists(pattern))
    return found


def _require_finished(folder: Path, split: str, whole: bool) -> None:
    status = StatusFile(folder, split).read()
    if status is not None and status.state == "running":
        raise UsageError(
            f"split {split!r} is being prepared by process {status.process} on {status.host}; wait for its end. "
            f"Received: {str(folder)!r}"
        )
    broken_off = shards.is_begun(folder, split) or (status is not None and status.state != "finished")
    missing = [*_missing_shards(folder, split), *[stats_path(folder, split).name] * broken_off]
    if missing and (whole or broken_off):
        command = f"go on with: {status.command}" if status is not None else "go on with prepare_coco as it was called"
        raise UsageError(
            f"split {split!r} is not whole: {missing[0]!r} is missing ({len(missing)} in all); {command}. "
            f"Received: {str(folder)!r}"
        )


def _missing_shards(folder: Path, split: str) -> Iterator[str]:
    there = collections.defaultdict(set)
    for path in folder.glob("*.tfrecord"):
        if shards.split_of(path.name) == split:
            index, _, number = path.stem.split("-")[-3:]
            there[int(number)].add(int(index))
    for number, indices in sorted(there.items()):
        missing = (index for index in range(number) if index not in indices)
        yield from (shards.shard_name(split, index, number) for index in itertools.islice(missing, _MOST_NAMED))
