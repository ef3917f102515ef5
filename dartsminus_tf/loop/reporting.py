"""What a person sees of a run: one line an epoch, `metrics.csv`, TensorBoard."""

import sys
import time
from pathlib import Path

import keras
import tensorflow as tf

from dartsminus_tf.loop.records import Records

METRICS = "metrics.csv"


class MetricsCsv(keras.callbacks.Callback):
    """Writes the epoch's logs and seconds to `metrics.csv` and prints them on one line. Comes last among callbacks."""

    def __init__(self, records: Records, epochs: int, quiet: bool = False):
        super().__init__()
        self.table = records.table(METRICS)
        self.epochs, self.quiet = epochs, quiet

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic() - (logs or {}).get("seconds", 0.0)  # those before an interruption

    def on_epoch_end(self, epoch, logs=None):
        row = {name: round(float(value), 6) for name, value in (logs or {}).items()}
        row["seconds"] = round(time.monotonic() - self._start, 3)
        self.table.append({"epoch": epoch, **row})
        if not self.quiet:
            values = "  ".join(f"{name} {value:.4g}" for name, value in row.items())
            print(f"epoch {epoch + 1}/{self.epochs}  {values}", flush=True)

    @property
    def seconds(self) -> float:
        """The time of all epochs, those before an interruption included."""
        return sum(float(row["seconds"]) for row in self.table.rows)


class TensorBoardScalars(keras.callbacks.Callback):
    """The epoch's logs as TensorBoard scalars."""

    def __init__(self, directory: Path):
        super().__init__()
        self.directory = directory

    def on_train_begin(self, logs=None):
        self.writer = tf.summary.create_file_writer(str(self.directory))

    def on_epoch_end(self, epoch, logs=None):
        with self.writer.as_default(step=epoch):
            for name, value in (logs or {}).items():
                tf.summary.scalar(f"epoch/{name}", value)

    def on_train_end(self, logs=None):
        self.writer.close()


def progress_bar(verbose) -> int:
    """Keras' `verbose` of a run: its progress bar on a terminal, nothing in a pipe (the epoch lines are ours)."""
    if verbose == "auto":
        return 1 if sys.stdout.isatty() else 0
    return 1 if verbose == 1 else 0
