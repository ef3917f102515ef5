"""The true accuracies of all NAS-Bench-201 cells: test accuracies after 200 epochs, in per cent, averaged over seeds.

Read from a CSV file with the columns

    ArchitectureString  CIFAR10TestAccuracy200Epochs  CIFAR100TestAccuracy200Epochs  ImageNetTestAccuracy200Epochs

(others are passed over), or from the public benchmark file or directory through the package `nats_bench`.
"""

import csv
from pathlib import Path

import numpy as np

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.nasbench201.genotype import BenchmarkGenotype, every_genotype

COLUMNS = {
    "cifar10": "CIFAR10TestAccuracy200Epochs",
    "cifar100": "CIFAR100TestAccuracy200Epochs",
    "imagenet16_120": "ImageNetTestAccuracy200Epochs",
}
ARCHITECTURE = "ArchitectureString"
_PUBLIC_NAMES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16_120": "ImageNet16-120"}


class BenchmarkTable:
    """`accuracies` maps arch strings to test accuracies [3], in the order of `COLUMNS`, in per cent."""

    def __init__(self, accuracies: dict[str, np.ndarray]):
        self.rows = accuracies
        self._sorted = np.sort(np.stack(list(accuracies.values())), axis=0)

    def __len__(self) -> int:
        return len(self.rows)

    def accuracies(self, genotype: BenchmarkGenotype) -> dict[str, float]:
        """{"cifar10": ..., "cifar100": ..., "imagenet16_120": ...}, in per cent.

        Raises:
            UsageError: where the cell is not in the table.
        """
        row = self.rows.get(genotype.arch)
        if row is None:
            raise UsageError(f"The table of accuracies lacks this cell. Received: {genotype.arch}")
        return {name: float(value) for name, value in zip(COLUMNS, row, strict=True)}

    def rank(self, genotype: BenchmarkGenotype, data: str = "cifar10") -> int:
        """1 for the best cell on `data`: one more than the number of better cells."""
        column = self._column(data)
        value = self.accuracies(genotype)[data]
        return int(len(self) - np.searchsorted(column, value, side="right")) + 1

    def percentile(self, genotype: BenchmarkGenotype, data: str = "cifar10") -> float:
        """The share of all cells, in per cent, that are worse on `data`."""
        column = self._column(data)
        return 100.0 * float(np.searchsorted(column, self.accuracies(genotype)[data], side="left")) / len(self)

    def best(self, data: str = "cifar10") -> tuple[BenchmarkGenotype, float]:
        """The best cell on `data` and its accuracy in per cent."""
        place = self._place(data)
        arch = max(self.rows, key=lambda name: self.rows[name][place])
        return BenchmarkGenotype(arch), float(self.rows[arch][place])

    def _column(self, data: str) -> np.ndarray:
        return self._sorted[:, self._place(data)]

    @staticmethod
    def _place(data: str) -> int:
        if data not in COLUMNS:
            raise UsageError(f"The table has the data sets {', '.join(COLUMNS)}. Received: {data!r}")
        return list(COLUMNS).index(data)


def load_table(path: str | Path) -> BenchmarkTable:
    """Read a CSV file (name ending in .csv), or anything else as the public benchmark.

    Raises:
        UsageError: where the file or the package is missing, or the content is not that of such a table.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"The NAS-Bench-201 table does not exist. Received: {path}")
    return BenchmarkTable(_read_csv(path) if path.suffix == ".csv" else _read_public(path))


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    rows = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in (ARCHITECTURE, *COLUMNS.values()) if name not in (reader.fieldnames or ())]
            if missing:
                raise UsageError(f"The NAS-Bench-201 table lacks the columns {', '.join(missing)}. Received: {path}")
            for line in reader:
                genotype = BenchmarkGenotype(line[ARCHITECTURE])
                rows[genotype.arch] = _accuracies([line[name] for name in COLUMNS.values()], path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"Cannot read the NAS-Bench-201 table ({error}). Received: {path}") from None
    if not rows:
        raise UsageError(f"The NAS-Bench-201 table has no rows. Received: {path}")
    return rows


def _accuracies(texts, path: Path) -> np.ndarray:
    try:
        values = np.array([float(text) for text in texts])
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if not np.all((values >= 0) & (values <= 100)):
        raise UsageError(f"Accuracies in a NAS-Bench-201 table are per cents, 0 to 100. Received: {texts} in {path}")
    return values


def _read_public(path: Path) -> dict[str, np.ndarray]:
    """All cells' accuracies from the benchmark's own files, which hold pickled objects: use only ones you trust."""
    try:
        import nats_bench
    except ImportError:
        raise UsageError(
            "A table that is no .csv file is read by the package nats_bench, which is not installed "
            f"(pip install nats_bench). Received: {path}"
        ) from None
    api = nats_bench.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
    rows = {}
    for genotype in every_genotype():
        index = api.query_index_by_arch(genotype.arch)
        if index >= 0:
            found = [api.get_more_info(index, name, hp="200", is_random=False) for name in _PUBLIC_NAMES.values()]
            rows[genotype.arch] = _accuracies([values["test-accuracy"] for values in found], path)
    if not rows:
        raise UsageError(f"The benchmark file holds none of the cells. Received: {path}")
    return rows
