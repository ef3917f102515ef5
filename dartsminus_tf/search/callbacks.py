"""What happens around the epochs of a search: beta, and the history of alpha, genotypes and their entropy."""

import io
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.files import write_atomically
from dartsminus_tf.foundation.tables import MetricsTable
from dartsminus_tf.loop.reporting import TensorBoardScalars
from dartsminus_tf.search.beta import BetaSchedule
from dartsminus_tf.spaces.supernet import softmax


class BetaCallback(keras.callbacks.Callback):
    """Sets the supernet's beta at the start of every epoch and adds it to the epoch's logs."""

    def __init__(self, schedule: BetaSchedule):
        super().__init__()
        self.schedule = schedule

    def on_epoch_begin(self, epoch, logs=None):
        self.model.supernet.beta.assign(self.schedule(epoch))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["beta"] = float(self.model.supernet.beta.numpy())


class AlphaStart(keras.callbacks.Callback):
    """Turns architecture steps on from epoch `start` (from 0); before it, the logs have no losses of alpha.

    The step is traced anew then: without architecture steps its graph has half the size.
    """

    def __init__(self, start: int):
        super().__init__()
        self.start = start

    def on_epoch_begin(self, epoch, logs=None):
        moves = epoch >= self.start
        if moves != self.model.alpha_moves:
            self.model.alpha_moves = moves
            self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None and epoch < self.start:
            for metric in (self.model.alpha_loss_metric, self.model.alpha_accuracy_metric):
                logs.pop(metric.name, None)


class GenotypeHistory(keras.callbacks.Callback):
    """Writes `genotypes.csv` (epoch, genotype) and `alphas/epoch_*.npz`, and adds skip share and entropy to the logs.

    `skip_share` is the part of the derived operations that are `skip_connect`; `alpha_entropy` the mean entropy of
    softmax(alpha) over edges, in nats.
    """

    def __init__(self, path: Path, initial_epoch: int = 0):
        super().__init__()
        self.table = MetricsTable(path / "genotypes.csv", initial_epoch)
        self.directory = path / "alphas"

    def on_epoch_end(self, epoch, logs=None):
        net = self.model.supernet
        genotype = net.genotype()
        alphas = net.alpha_values()
        self.table.append({"epoch": epoch, "genotype": genotype.to_json()})
        self.directory.mkdir(exist_ok=True)
        buffer = _npz(alphas)
        write_atomically(self.directory / f"epoch_{epoch:04d}.npz", buffer)
        if logs is not None:
            weights = [softmax(alpha) for alpha in alphas.values()]
            logs["alpha_entropy"] = float(np.mean([-(w * np.log(w)).sum(axis=-1).mean() for w in weights]))
            logs["skip_share"] = genotype.share("skip_connect")


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


class AlphaSummaries(TensorBoardScalars):
    """Also histograms of softmax(alpha), once an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        with self.writer.as_default(step=epoch):
            for kind, alpha in self.model.supernet.alphas.items():
                tf.summary.histogram(f"softmax_alpha/{kind}", tf.nn.softmax(tf.convert_to_tensor(alpha)))
