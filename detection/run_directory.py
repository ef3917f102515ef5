"""The run directory: whose it is, and what a finished run leaves there."""

import contextlib
import csv
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from detection import atomic_files
from detection.errors import DetectionError
from safeguards import nested_settings
from safeguards.run_lock import InUse, RunLock
from safeguards.yaml_text import dump_yaml

_PARAMS = "params.yaml"
# A run may be made longer, or go on with other devices; anything else is another run.
_FREE_KEYS = ("trainer.train_steps", "runtime.distribution_strategy", "runtime.num_gpus")


@contextlib.contextmanager
def locked(model_dir: str) -> Iterator[None]:
    """Holds `model_dir` (which exists) for this process.

    Raises:
      DetectionError: another process is at work there.
    """
    lock = RunLock(Path(model_dir))
    try:
        lock.acquire()
    except InUse as reason:
        raise DetectionError(f"--model_dir is {reason}. Received: {model_dir!r}") from None
    with contextlib.closing(lock):
        yield


def saved_params(model_dir: str) -> dict | None:
    """The config that the run in `model_dir` was started with, or None for a new directory.

    Raises:
      DetectionError: `model_dir` is a file, or its params.yaml is not a config.
    """
    folder, path = Path(model_dir), Path(model_dir) / _PARAMS
    if folder.exists() and not folder.is_dir():
        raise DetectionError(f"--model_dir must be a folder. Received: {model_dir!r}")
    if not path.is_file():
        return None
    try:
        params = nested_settings.read_mapping(path)
    except ValueError:
        params = {}
    if not params:
        raise DetectionError(f"params.yaml of this run is damaged. Received: {str(path)!r}")
    return params


def require_same_run(saved: dict, params: dict, model_dir: str, sections: tuple[str, ...] = ()) -> None:
    """Refuses a directory that belongs to another config.

    Args:
      saved, params: nested dicts, of the directory and of this call.
      sections: dotted prefixes to compare; everything when empty.

    Raises:
      DetectionError: naming the first keys that differ.
    """
    old, new = _flatten(saved), _flatten(params)
    differing = [
        key
        for key in sorted(old.keys() | new.keys())
        if key not in _FREE_KEYS
        and (not sections or any(key.startswith(section) for section in sections))
        and old.get(key) != new.get(key)
    ]
    if differing:
        shown = ", ".join(f"{key} ({old.get(key)!r} -> {new.get(key)!r})" for key in differing[:3])
        raise DetectionError(
            f"--model_dir belongs to a run of another config; take another folder. Differs in: {shown}. "
            f"Received: {model_dir!r}"
        )


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        flat: dict[str, Any] = {}
        for key, entry in value.items():
            flat |= _flatten(entry, f"{prefix}{key}.")
        return flat
    return {prefix.rstrip("."): list(value) if isinstance(value, tuple) else value}


def save_params(model_dir: str, params: dict) -> None:
    """Writes params.yaml, the sign that the directory belongs to this config."""
    atomic_files.write_text(Path(model_dir) / _PARAMS, dump_yaml(params, sort_keys=True))


class MetricsFile:
    """Appends rows to `metrics.csv`, flushed row by row, so that an interrupted run keeps its history.

    Columns that a row does not have stay empty; a resumed run goes on in the same file.
    """

    COLUMNS = (
        *("step", "split", "seconds"),
        *("total_loss", "cls_loss", "box_loss", "model_loss", "learning_rate"),
        *("ap", "ap50", "ap75", "aps", "apm", "apl"),
    )

    def __init__(self, model_dir: str):
        self._path = Path(model_dir) / "metrics.csv"

    def append(self, row: dict[str, Any]) -> None:
        """Adds one row; keys outside COLUMNS are left out."""
        new = not self._path.exists()
        with open(self._path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.COLUMNS, extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            os.fsync(file.fileno())


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    names = ("tensorflow", "tf_keras", "tf-models-official", "numpy", "pycocotools")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found
