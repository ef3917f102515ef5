"""A finished training on disk, found and checked without TensorFlow: what is damaged is refused before its import.

`result.json` holds the digest of the weights, so the weights of another run, or with one flipped bit, are none of it.
"""

from pathlib import Path
from typing import NamedTuple

import h5py

from dartsminus_tf.config import TrainConfig
from dartsminus_tf.foundation.digests import require_files
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.results import RESULT, TrainResult, stored_result
from dartsminus_tf.foundation.run import RunDirectory, stored_settings
from dartsminus_tf.foundation.typed import load_config

WEIGHTS = "model.weights.h5"
ADVICE = f"delete {RESULT} and give the command of the training again, which writes both anew from the last state"


class FinishedTraining(NamedTuple):
    """What a finished training left.

    Attributes:
        path: the run directory.
        result: what `result.json` holds.
        weights: the file of the weights.
    """

    path: Path
    result: dict
    weights: Path


def finished_training(model_dir: str | Path) -> FinishedTraining:
    """The finished training in a run directory.

    Raises:
        UsageError: where `model_dir` is no finished training run, its result is none, or its weights are damaged or
            belong to another.
    """
    path = Path(model_dir)
    settings = stored_settings(path)
    if settings is None:
        raise UsageError(f"model_dir must be a training run. Received: {path}")
    if "genotype" not in settings:
        raise UsageError(f"model_dir must be a run of train.py (this is another kind of run). Received: {path}")
    run = RunDirectory(path, load_config(TrainConfig, [str(path / "config.yaml")]))
    result, weights = stored_result(path, TrainResult), path / WEIGHTS
    if result is None:
        status = run.status.read()
        about = f" ({status.brief})" if status is not None else ""
        raise UsageError(
            f"The training run is not finished{about}: call train.py with the same --model_dir again. Received: {path}"
        )
    if not weights.is_file():
        raise UsageError(f"The weights are missing, or no regular file: {ADVICE}. Received: {weights}")
    require_files(result, path / RESULT, [WEIGHTS], ADVICE)
    _require_plain(weights)
    return FinishedTraining(path, result, weights)


def _require_plain(weights: Path) -> None:
    """Refuse what is no HDF5 file, or has links or data that lead out of what can be seen in it."""
    try:
        with h5py.File(weights) as file:
            file.visititems_links(lambda name, link: _require_hard(name, link, weights))
            file.visititems(lambda name, item: _require_inside(name, item, weights))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"The weights are no whole HDF5 file ({error}): {ADVICE}. Received: {weights}") from None


def _require_hard(name: str, link: object, weights: Path) -> None:
    if not isinstance(link, h5py.HardLink):
        raise UsageError(f"Weights may hold no {type(link).__name__} ({name!r}): {ADVICE}. Received: {weights}")


def _require_inside(name: str, item: object, weights: Path) -> None:
    if not isinstance(item, h5py.Dataset):
        return
    if item.external or item.is_virtual or item.nbytes > weights.stat().st_size:
        raise UsageError(f"Weights must lie in the file itself ({name!r} does not): {ADVICE}. Received: {weights}")
