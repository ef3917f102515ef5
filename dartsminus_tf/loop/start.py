"""How every run begins: seed, devices, and its directory, which only the first process of a cluster writes to."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping

import keras

from dartsminus_tf.foundation.runs.content import require_same_content
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.loop import distribution
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.epochs import Loop, Work
from dartsminus_tf.loop.faults import write_faults
from dartsminus_tf.loop.records import CHECKPOINTS, Records


class Start:
    """A run that has its seed and its devices; nothing is written yet. The model is to be built in `scope()`.

    Args:
        run: of a search or a training.

    Raises:
        UsageError: where the devices do not fit the config.
    """

    def __init__(self, run: RunDirectory):
        self.run, self.runtime = run, run.config.runtime
        self.strategy = distribution.strategy_of(self.runtime.distribute)
        distribution.check_batch_size(self.strategy, run.config.data.batch_size)
        keras.utils.set_random_seed(self.runtime.seed)

    @property
    def begun(self) -> bool:
        """Whether the run has a state that it goes on from."""
        return bool(Checkpoints(self.run.path / CHECKPOINTS, writes=False).saved())

    def scope(self) -> contextlib.AbstractContextManager:
        """The scope of the devices."""
        return self.strategy.scope()

    @contextlib.contextmanager
    def loop(self, model: keras.Model, work: Work, content: Mapping[str, str]) -> Iterator[tuple[RunDirectory, Loop]]:
        """The directory to write to, open and locked, and the loop that does `work` with a compiled model.

        `content` is what the data hold: what the run began with, wherever it lay then.

        A worker that is not the chief reads the states and writes all else to a temporary directory.

        Raises:
            UsageError: where the directory is in use, or cannot be written to, now or later.
        """
        run, chief = self.run, distribution.is_chief(self.strategy)
        states, keep = run.path / CHECKPOINTS, self.runtime.keep_checkpoints
        checkpoints = Checkpoints(states, keep, writes=chief, on_save=run.note)
        with contextlib.ExitStack() as stack:
            if not chief:
                run = RunDirectory(stack.enter_context(tempfile.TemporaryDirectory()), run.config)
            stack.enter_context(run)
            stack.enter_context(write_faults(checkpoints))
            require_same_content(run.path, content)
            yield run, Loop(model, work, checkpoints, Records(run.path), self.runtime)
