"""What a search leaves in its run directory epoch by epoch, written by `GenotypeHistory` and read by `SearchHistory`.

genotypes.csv     epoch, genotype                 alphas/epoch_0003.npz   {kind of cell: alpha [edges, candidates]}
"""

import csv
import io
import re
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.files import write_atomically
from dartsminus_tf.foundation.results import SearchResult, stored_json, stored_result
from dartsminus_tf.foundation.status import Status, StatusFile
from dartsminus_tf.foundation.tables import MetricsTable
from dartsminus_tf.foundation.typed import load_config
from dartsminus_tf.loop.reporting import TensorBoardScalars
from dartsminus_tf.spaces.families import get_space
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.space import Alphas, Space, softmax

_EPOCH = re.compile(r"epoch_(\d+)\.npz")
SPACE = "space.json"  # the candidates, where they are not all of the config's space


def alpha_file(run: Path, epoch: int) -> Path:
    """Where alpha after `epoch` (from 0) is."""
    return run / "alphas" / f"epoch_{epoch:04d}.npz"


def load_alphas(run: Path, epoch: int) -> Alphas:
    """{kind of cell: alpha} after `epoch` (from 0) of the search in `run`."""
    file = alpha_file(run, epoch)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"The run has lost alpha of epoch {epoch} ({error}). Received: {file}") from None


@dataclass(frozen=True)
class SearchHistory:
    """A search's run directory, finished or not.

    Args:
        path: the directory.
        name: what tables and figures call it.

    Raises:
        UsageError: where it is no run directory of a search, or has no epoch yet.
    """

    path: Path
    name: str

    def __post_init__(self):
        if not _is_search(self.path):
            raise UsageError(f"Not the run directory of a search with an epoch behind it. Received: {self.path}")

    @cached_property
    def config(self) -> SearchConfig:
        """The run's resolved config."""
        return load_config(SearchConfig, [str(self.path / "config.yaml")])

    @cached_property
    def metrics(self) -> dict[str, np.ndarray]:
        """{column of metrics.csv: values [epochs]}; NaN where an epoch has none."""
        with open(self.path / "metrics.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = rows[0] if rows else {}
        return {name: np.array([float(row[name] or "nan") for row in rows]) for name in columns}

    @cached_property
    def alphas(self) -> dict[str, np.ndarray]:
        """{kind of cell: alpha [epochs, edges, candidates]}."""
        found = (_EPOCH.fullmatch(path.name) for path in (self.path / "alphas").iterdir())
        epochs = {int(match[1]) for match in found if match}
        loaded = [load_alphas(self.path, epoch) for epoch in range(max(epochs, default=0) + 1)]
        return {kind: np.stack([arrays[kind] for arrays in loaded]) for kind in loaded[0]}

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """{kind of cell: softmax(alpha) [epochs, edges, candidates]}."""
        return {kind: softmax(alpha) for kind, alpha in self.alphas.items()}

    @cached_property
    def space(self) -> Space:
        """The space that was searched: the config's, or what earlier stages of a progressive search left of it."""
        space, stored = get_space(self.config.space), self.path / SPACE
        if not stored.exists():
            return space
        kinds = stored_json(stored).items()
        return replace(space, candidates={kind: tuple(map(tuple, edges)) for kind, edges in kinds})

    @cached_property
    def primitives(self) -> dict[str, list[list[str]]]:
        """{kind of cell: the names of every edge's candidates}, an edge for every row of alpha."""
        candidates = self.space.candidates
        return {
            kind: [list(names) for names in candidates[kind][: alpha.shape[1]]] for kind, alpha in self.alphas.items()
        }

    @cached_property
    def status(self) -> Status | None:
        """What became of the run; None where it does not say."""
        return StatusFile(self.path).read()

    @cached_property
    def genotypes(self) -> list[Genotype]:
        """The genotype after every epoch."""
        with open(self.path / "genotypes.csv", newline="", encoding="utf-8") as file:
            return [Genotype.from_json(row["genotype"]) for row in csv.DictReader(file)]

    @cached_property
    def result(self) -> dict | None:
        """What the finished run wrote; None before."""
        return stored_result(self.path, SearchResult)

    def dominant_skips(self) -> np.ndarray:
        """The number of edges, over all kinds of cell, whose strongest candidate is `skip_connect` [epochs]."""
        total = 0
        for kind, weights in self.weights.items():
            for edge, names in enumerate(self.primitives[kind]):
                if "skip_connect" in names:
                    total = total + (weights[:, edge].argmax(axis=-1) == names.index("skip_connect"))
        return np.asarray(total) * np.ones(len(self.metrics["epoch"]), int)


def find_histories(paths: list[str]) -> list[SearchHistory]:
    """The searches in `paths`, each a run directory or a directory of them at any depth, named by their last parts."""
    found: list[Path] = []
    for text in paths:
        path = Path(text)
        if _is_search(path):
            found.append(path)
        elif path.is_dir():
            found += sorted(filter(_is_search, (file.parent for file in path.rglob("metrics.csv"))))
    if not found:
        raise UsageError(f"No run directory of a search there. Received: {', '.join(paths) or 'none'}")
    common = Path(*_common_parts(found)) if len(found) > 1 else found[0].parent
    return [SearchHistory(path, str(path.relative_to(common))) for path in found]


def _is_search(path: Path) -> bool:
    """Whether it is the run directory of a search with an epoch behind it."""
    return (path / "metrics.csv").is_file() and (path / "alphas").is_dir()


def _common_parts(paths: list[Path]) -> list[str]:
    """The leading parts that all `paths` share."""
    shared = []
    for parts in zip(*(path.parent.parts for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared


class GenotypeHistory(keras.callbacks.Callback):
    """Writes `genotypes.csv` and `alphas/`, and adds skip share and entropy to the logs.

    `skip_share` is the part of the derived operations that are `skip_connect`; `alpha_entropy` the mean entropy of
    softmax(alpha) over edges, in nats.

    Attributes:
        genotypes: {epoch: genotype}, those before an interruption included.
    """

    def __init__(self, path: Path, initial_epoch: int = 0):
        super().__init__()
        self.path, self.table = path, MetricsTable(path / "genotypes.csv", initial_epoch)
        self.genotypes = {int(row["epoch"]): Genotype.from_json(row["genotype"]) for row in self.table.rows}

    def on_epoch_end(self, epoch, logs=None):
        net = self.model.supernet
        self.genotypes[epoch] = genotype = net.genotype()
        alphas = net.alpha_values()
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
