"""A finished training on disk, found and checked without TensorFlow: what is damaged is refused before its import.

`result.json` holds the digest of the weights, so the weights of another run, or with one flipped bit, are none of it.
"""

from pathlib import Path
from typing import NamedTuple

from dartsminus_tf.foundation.disk.digests import require_files
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import stored_settings
from dartsminus_tf.foundation.runs.results import RESULT, TrainResult, stored_result
from dartsminus_tf.foundation.runs.status import StatusFile
from dartsminus_tf.pretrained.own.weight_file import ADVICE, WEIGHTS, require_plain


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
    result, weights = stored_result(path, TrainResult), path / WEIGHTS
    if result is None:
        status = StatusFile(path).read()
        about = f" ({status.brief})" if status is not None else ""
        raise UsageError(
            f"The training run is not finished{about}: call train.py with the same --model_dir again. Received: {path}"
        )
    if not weights.is_file():
        raise UsageError(f"The weights are missing, or no regular file: {ADVICE}. Received: {weights}")
    require_files(result, path / RESULT, [WEIGHTS], ADVICE)
    require_plain(weights)
    return FinishedTraining(path, result, weights)
