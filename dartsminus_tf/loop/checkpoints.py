"""The states of a run, saved every epoch: all variables of the model and of every optimizer that it holds."""

import os
import re
from pathlib import Path

import keras

_NAME = re.compile(r"epoch_(\d+)\.weights\.h5")


class Checkpoints(keras.callbacks.Callback):
    """Saves `epoch_NNNN.weights.h5` after every epoch, atomically, and keeps the newest ones.

    Args:
        directory: where they go; made if absent.
        keep: how many to keep.
    """

    def __init__(self, directory: Path, keep: int = 2):
        super().__init__()
        self.directory, self.keep = directory, keep

    def on_epoch_end(self, epoch, logs=None):
        self.directory.mkdir(parents=True, exist_ok=True)
        final = self.directory / f"epoch_{epoch:04d}.weights.h5"
        temporary = final.with_name(f".{os.getpid()}.{final.name}")
        self.model.save_weights(temporary, overwrite=True)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, final)
        for _, old in self.saved()[: -self.keep]:
            old.unlink()

    def saved(self) -> list[tuple[int, Path]]:
        """(epoch, file) of what is there, oldest first."""
        if not self.directory.is_dir():
            return []
        found = ((_NAME.fullmatch(path.name), path) for path in self.directory.iterdir())
        return sorted((int(match[1]), path) for match, path in found if match)

    def restore(self, model: keras.Model) -> int:
        """Load the newest state into `model`, built and compiled; returns the epoch to go on with (0: none there)."""
        saved = self.saved()
        if not saved:
            return 0
        epoch, path = saved[-1]
        model.load_weights(path)
        return epoch + 1
