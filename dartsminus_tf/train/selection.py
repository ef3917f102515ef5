"""Which epoch of a training is its result, and when it is over: by the validation accuracy alone.

With a(e) the validation accuracy after epoch e, where there is one,

    best = the first e of the largest a(e)
    stop after e  if  e - best(until e) >= patience
"""

from collections.abc import Sequence

import keras

from dartsminus_tf.config import TrainConfig
from dartsminus_tf.foundation.disk.tables import MetricsTable, Row
from dartsminus_tf.foundation.output import say
from dartsminus_tf.loop.epochs import SCORE, Loop


def validated(rows: Sequence[Row]) -> list[tuple[int, float]]:
    """(epoch, validation accuracy) of the rows of `metrics.csv` that have one."""
    return [(int(row["epoch"]), float(row[SCORE])) for row in rows if row.get(SCORE) not in (None, "")]


def best_epoch(rows: Sequence[Row]) -> tuple[int, float] | None:
    """(epoch, validation accuracy) of the best epoch, the first of several; None where none was validated."""
    return max(validated(rows), key=lambda measured: measured[1], default=None)


def stopped_epoch(rows: Sequence[Row], patience: int | None) -> int | None:
    """The epoch (from 0) after which a training with these rows is over; None: it goes on. Rows come oldest first."""
    best: tuple[int, float] | None = None
    for epoch, accuracy in validated(rows):
        if best is None or accuracy > best[1]:
            best = epoch, accuracy
        elif patience is not None and epoch - best[0] >= patience:
            return epoch
    return None


class Patience(keras.callbacks.Callback):
    """Ends `fit` where `patience` says so. Comes after what writes the rows.

    Args:
        patience: epochs without a better validation accuracy; None: never.
        table: `metrics.csv`, as it is in the run's state: a resumed run decides on the same rows.
    """

    def __init__(self, patience: int | None, table: MetricsTable):
        super().__init__()
        self.patience, self.table = patience, table

    @property
    def stopped_epoch(self) -> int | None:
        """The epoch after which the training is over before its time, which may be from the start of a resumed run."""
        return stopped_epoch(self.table.rows, self.patience)

    def on_epoch_end(self, epoch, logs=None):
        if self.stopped_epoch is not None:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.stopped_epoch is not None:
            best, accuracy = best_epoch(self.table.rows)
            say(
                f"early stop after epoch {self.stopped_epoch + 1}: no validation accuracy is better than the "
                f"{accuracy:.4f} of epoch {best + 1}"
            )


def to_result(loop: Loop, config: TrainConfig, rows: Sequence[Row]) -> int:
    """Give the model the weights of the epoch that is the training's result, and return that epoch (from 0).

    The best one is the best whose state is whole: where that of a better one is lost, a line says so.
    """
    last = loop.position.epoch - 1
    if not config.exports_best or (epoch := loop.to_best()) is None:
        return last
    accuracies = dict(validated(rows))
    best, accuracy = best_epoch(rows) or (epoch, 0.0)
    if accuracies.get(epoch, accuracy) < accuracy:
        say(f"the state of the best epoch, {best + 1}, is lost or broken; the best one left is that of {epoch + 1}")
    return epoch
