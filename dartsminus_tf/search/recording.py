"""What a search leaves in its run directory epoch by epoch, beside `metrics.csv`.

genotypes.csv     epoch, genotype                 alphas/epoch_0003.npz   {kind of cell: alpha [edges, candidates]}
"""

import io
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.disk.files import write_atomically
from dartsminus_tf.loop.records import Records
from dartsminus_tf.loop.reporting import TensorBoardScalars
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.space import softmax

GENOTYPES = "genotypes.csv"
SPACE = "space.json"  # the candidates, where they are not all of the config's space


def alpha_file(run: Path, epoch: int) -> Path:
    """Where alpha after `epoch` (from 0) is."""
    return run / "alphas" / f"epoch_{epoch:04d}.npz"


class GenotypeHistory(keras.callbacks.Callback):
    """Writes `genotypes.csv` and `alphas/`, and adds skip share and entropy to the logs.

    `skip_share` is the part of the derived operations that are `skip_connect`; `alpha_entropy` the mean entropy of
    softmax(alpha) over edges, in nats.
    """

    def __init__(self, path: Path, records: Records):
        super().__init__()
        self.path, self.table = path, records.table(GENOTYPES)

    def genotype(self, epoch: int) -> Genotype:
        """That after `epoch` (from 0), which may be before an interruption."""
        return Genotype.from_json(self.table.row(epoch)["genotype"])

    def on_epoch_end(self, epoch, logs=None):
        net = self.model.supernet
        genotype, alphas = net.genotype(), net.alpha_values()
        self.table.append({"epoch": epoch, "genotype": genotype.to_json()})
        write_atomically(alpha_file(self.path, epoch), _npz(alphas))
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
