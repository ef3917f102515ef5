"""What can go wrong in a long run besides the user: said on one line, with what is lost and what to do."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError, first_reason, write_fault
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.state import NotFinite

MOST_STEPS_BACK = 5
DATA_ERRORS = (
    tf.errors.NotFoundError,
    tf.errors.DataLossError,
    tf.errors.PermissionDeniedError,
    tf.errors.InvalidArgumentError,
)


def check_finite(logs: Mapping[str, float], model: keras.Model, where: str) -> None:
    """Raise where a value of `logs` is not finite, with all that one wants to know then.

    Raises:
        NotFinite: naming the step, the learning rates and the largest gradient.
    """
    bad = {name: value for name, value in logs.items() if not math.isfinite(value)}
    if bad:
        raise not_finite(", ".join(f"{name} {value}" for name, value in bad.items()), model, where)


def not_finite(what: str, model: keras.Model, where: str) -> NotFinite:
    """The fault that `what` is not finite, with the learning rates and the largest gradient."""
    return NotFinite(f"Not finite at {where}: {what} ({'; '.join(map(_about, model.optimizers))})")


def _about(optimizer) -> str:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not hasattr(inner, "largest"):
        return f"{inner.name} rate {float(inner.learning_rate.numpy()):.4g}"
    norm, path = inner.largest()
    return f"{inner.name} rate {inner.effective_rate:.4g}, largest gradient norm {norm:.4g} of {path}"


@contextlib.contextmanager
def data_faults(where: str) -> Iterator[None]:
    """Turn TensorFlow's errors of reading into one line.

    Raises:
        UsageError: where a file of the data set has vanished, cannot be read or does not decode.
    """
    try:
        yield
    except DATA_ERRORS as error:
        raise UsageError(
            f"The data cannot be read at {where}: repair them, then the same command goes on from there. "
            f"Received: {first_reason(error.message)}"
        ) from None


@contextlib.contextmanager
def write_faults(checkpoints: Checkpoints) -> Iterator[None]:
    """Turn a failure to write the run's files into one line.

    Raises:
        UsageError: with the reason, and the state that the run goes on from.
    """
    try:
        yield
    except Exception as error:
        reason, file = write_fault(error), getattr(error, "filename", None)
        elsewhere = file is not None and checkpoints.directory.parent not in Path(file).parents
        if reason is None or elsewhere:
            raise
        saved = checkpoints.saved()
        resume = f"the same command goes on from {saved[-1].name}" if saved else "start again: nothing was saved"
        raise UsageError(
            f"Cannot write to the run directory ({reason}): make room or give access, then {resume}. "
            f"Received: {checkpoints.directory.parent}"
        ) from None
