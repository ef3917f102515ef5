"""A finished training on disk, found and checked without TensorFlow: what is damaged is refused before its import.

`result.json` holds the digest of the weights, so the weights of another run, or with one flipped bit, are none of it.
"""

from pathlib import Path
from typing import NamedTuple

import h5py

from dartsminus_tf.config import TrainConfig
from dartsminus_tf.foundation.digests import require_files
from dartsminus_tf.foundation.errors import UsageError, brief
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
    size = weights.stat().st_size
    try:
        with h5py.File(weights) as file:  # the visits end at the first that returns something
            problem = file.visititems_links(_foreign_link) or file.visititems(lambda *item: _foreign_data(*item, size))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        problem = f"no whole HDF5 file: {brief(error)}"
    if problem:
        raise UsageError(f"The weights cannot be used ({problem}): {ADVICE}. Received: {weights}")


def _foreign_link(name: str, link: object) -> str | None:
    return None if isinstance(link, h5py.HardLink) else f"{name!r} is a {type(link).__name__}"


def _foreign_data(name: str, item: object, size: int) -> str | None:
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual or item.nbytes > size):
        return f"{name!r} does not lie in the file itself"
    return None
