"""What a search has left in its run directory (see `recording`), read again for the analyses."""

import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError, require
from dartsminus_tf.foundation.runs.results import SearchResult, stored_json, stored_result
from dartsminus_tf.foundation.runs.states import Tables
from dartsminus_tf.foundation.runs.status import Status, StatusFile
from dartsminus_tf.loop.records import read_tables, rows_of
from dartsminus_tf.loop.reporting import METRICS
from dartsminus_tf.search.recording import GENOTYPES, SPACE, alpha_file
from dartsminus_tf.spaces.families import get_space
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.space import Alphas, Space, softmax

# What numpy raises for a file that is damaged or of another kind.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
_CANDIDATES = TypeAdapter(dict[str, tuple[tuple[str, ...], ...]])


def load_alphas(run: Path, epoch: int) -> Alphas:
    """{kind of cell: alpha} after `epoch` (from 0) of the search in `run`."""
    file = alpha_file(run, epoch)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            alphas = dict(arrays)
    except _UNREADABLE as error:
        raise UsageError(f"The run has lost alpha of epoch {epoch} ({error}). Received: {file}") from None
    if not alphas or not all(alpha.dtype.kind == "f" and np.isfinite(alpha).all() for alpha in alphas.values()):
        raise UsageError(f"Alpha of epoch {epoch} must be finite numbers. Received: {file}")
    return alphas


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
    def _tables(self) -> Tables | None:
        """Those of the newest state, which is read once."""
        return read_tables(self.path)

    @cached_property
    def metrics(self) -> dict[str, np.ndarray]:
        """{column of metrics.csv: values [epochs]}; NaN where an epoch has none."""
        rows = rows_of(self._tables, self.path, METRICS)
        if not rows:
            raise UsageError(f"The search has no epoch behind it yet. Received: {self.path}")
        columns = dict.fromkeys(name for row in rows for name in row)
        try:
            return {name: np.array([_number(row.get(name)) for row in rows]) for name in columns}
        except ValueError as error:
            raise UsageError(f"The table must hold numbers ({error}). Received: {self.path / METRICS}") from None

    @cached_property
    def alphas(self) -> dict[str, np.ndarray]:
        """{kind of cell: alpha [epochs, edges, candidates]}, of the epochs that `metrics` has."""
        loaded = [load_alphas(self.path, epoch) for epoch in range(len(self.metrics["epoch"]))]
        candidates = self.space.candidates
        for epoch, arrays in enumerate(loaded):
            for kind, alpha in (loaded[0] | arrays).items():
                fits = kind in candidates and alpha.ndim == 2 and alpha.shape[1] == len(candidates[kind][0])
                if arrays.keys() != loaded[0].keys() or not fits or alpha.shape != loaded[0][kind].shape:
                    file = alpha_file(self.path, epoch)
                    raise UsageError(f"Alpha must be that of the space {self.space.name}. Received: {file}")
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
        try:
            left = _CANDIDATES.validate_python(stored_json(stored))
        except ValidationError:
            raise UsageError(f"It must be the candidates of every edge. Received: {stored}") from None
        return replace(space, candidates=left)

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
        rows = rows_of(self._tables, self.path, GENOTYPES)
        try:
            require(len(rows) == len(self.metrics["epoch"]), "A genotype an epoch", len(rows))
            return [Genotype.from_json(str(row.get("genotype"))) for row in rows]
        except UsageError as error:
            raise UsageError(f"{error} in {self.path / GENOTYPES}") from None

    @cached_property
    def result(self) -> dict | None:
        """What the finished run wrote; None before."""
        return stored_result(self.path, SearchResult)

    @property
    def genotype(self) -> Genotype:
        """What the search resulted in, or holds now."""
        return self.genotypes[-1] if self.result is None else Genotype.from_dict(self.result["genotype"])

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


def _number(value: object) -> float:
    return np.nan if value in (None, "") else float(value)


def _common_parts(paths: list[Path]) -> list[str]:
    """The leading parts that all `paths` share."""
    shared = []
    for parts in zip(*(path.parent.parts for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared
