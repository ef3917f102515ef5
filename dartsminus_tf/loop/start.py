"""How every run begins: seed, devices, and its directory, which only the first process of a cluster writes to."""

import contextlib
import tempfile
from collections.abc import Iterator

import keras
import tensorflow as tf

from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.run import RunDirectory
from dartsminus_tf.loop import distribution
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.faults import write_faults


def begin(config: SearchConfig | TrainConfig) -> tf.distribute.Strategy:
    """Set the seed and return the strategy; the model is to be built in its scope.

    Raises:
        UsageError: where the devices do not fit the config.
    """
    strategy = distribution.strategy_of(config.runtime.distribute)
    distribution.check_batch_size(strategy, config.data.batch_size)
    keras.utils.set_random_seed(config.runtime.seed)
    return strategy


@contextlib.contextmanager
def opened(run: RunDirectory, strategy: tf.distribute.Strategy) -> Iterator[tuple[RunDirectory, Checkpoints]]:
    """The directory to write to, open and locked, and the run's states.

    A worker that is not the chief reads the states and writes all else to a temporary directory.

    Raises:
        UsageError: where it is in use, or cannot be written to, now or later.
    """
    chief, keep = distribution.is_chief(strategy), run.config.runtime.keep_checkpoints
    checkpoints = Checkpoints(run.path / "checkpoints", keep, writes=chief, on_save=run.status.note)
    with contextlib.ExitStack() as stack:
        if not chief:
            run = RunDirectory(stack.enter_context(tempfile.TemporaryDirectory()), run.config)
        stack.enter_context(run)
        stack.enter_context(write_faults(checkpoints))
        yield run, checkpoints
