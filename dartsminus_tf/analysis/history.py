"""What a search left in its run directory, epoch by epoch."""

import csv
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.typed import load_config
from dartsminus_tf.spaces import Genotype, get_space
from dartsminus_tf.spaces.supernet import softmax

_EPOCH = re.compile(r"epoch_(\d+)\.npz")


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
        if not (self.path / "metrics.csv").is_file() or not (self.path / "alphas").is_dir():
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
        files = sorted(path for path in (self.path / "alphas").iterdir() if _EPOCH.fullmatch(path.name))
        loaded = []
        for file in files:
            with np.load(file, allow_pickle=False) as arrays:
                loaded.append(dict(arrays))
        return {kind: np.stack([arrays[kind] for arrays in loaded]) for kind in loaded[0]}

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """{kind of cell: softmax(alpha) [epochs, edges, candidates]}."""
        return {kind: softmax(alpha) for kind, alpha in self.alphas.items()}

    @cached_property
    def primitives(self) -> dict[str, list[list[str]]]:
        """{kind of cell: the names of every edge's candidates}."""
        stored = self.path / "space.json"  # of a stage of a progressive search
        space = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else None
        space = space or get_space(self.config.space).candidates
        return {kind: [list(names) for names in space[kind]] for kind in self.alphas}

    @cached_property
    def genotypes(self) -> list[Genotype]:
        """The genotype after every epoch."""
        with open(self.path / "genotypes.csv", newline="", encoding="utf-8") as file:
            return [Genotype.from_json(row["genotype"]) for row in csv.DictReader(file)]

    @cached_property
    def result(self) -> dict | None:
        """What the finished run wrote; None before."""
        path = self.path / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

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
        if (path / "metrics.csv").is_file() and (path / "alphas").is_dir():
            found.append(path)
        elif path.is_dir():
            found += sorted(file.parent for file in path.rglob("metrics.csv") if (file.parent / "alphas").is_dir())
    if not found:
        raise UsageError(f"No run directory of a search there. Received: {', '.join(paths) or 'none'}")
    common = Path(*_common_parts(found)) if len(found) > 1 else found[0].parent
    return [SearchHistory(path, str(path.relative_to(common))) for path in found]


def _common_parts(paths: list[Path]) -> list[str]:
    """The leading parts that all `paths` share."""
    shared = []
    for parts in zip(*(path.parent.parts for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared
