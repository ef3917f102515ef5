"""A search brought back from its run directory, at any of its checkpoints."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import tensorflow as tf

from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.records import CHECKPOINTS
from dartsminus_tf.loop.state import load_state, state_variables
from dartsminus_tf.search.history import SearchHistory
from dartsminus_tf.search.runner import build_search


class RestoredSearch:
    """The model and the validation data of a search.

    Attributes:
        model: the `BilevelSearch`, with the newest checkpoint's values.
        saved: the checkpoints' files, oldest first.

    Raises:
        UsageError: where the run left no checkpoint.
    """

    def __init__(self, history: SearchHistory):
        self.history, self.config = history, history.config
        self.saved = Checkpoints(history.path / CHECKPOINTS, writes=False).saved()
        if not self.saved:
            raise UsageError(f"The run has no checkpoint. Received: {history.path}")
        data = ImageData(self.config.data, self.config.runtime.seed)
        self.held_out = data.held_out(self.config.alpha_fraction)
        self.model = build_search(self.config, data, history.space)
        self.load(self.saved[-1])

    def load(self, path: Path) -> int:
        """Take the values of a checkpoint; returns the number of epochs behind it."""
        return load_state(path, state_variables(self.model)).position.epoch

    def batches(self, number: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """The first validation batches (images [N, H, W, 3], labels [N]), the same at every call."""
        return islice(iter(self.held_out), number)
