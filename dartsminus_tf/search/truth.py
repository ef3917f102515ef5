"""The true accuracy of the cell that a search on NAS-Bench-201 holds, epoch by epoch and at the end."""

import keras

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.nasbench201.space import NASBENCH201
from dartsminus_tf.spaces.nasbench201.table import BenchmarkTable, load_table


def table_of(config: SearchConfig) -> BenchmarkTable | None:
    """The table that `config` names, or None.

    Raises:
        UsageError: where it cannot be read, or the search is in another space.
    """
    path = config.runtime.nasbench201_table
    if path is None:
        return None
    if config.space != NASBENCH201.name:
        raise UsageError(f"nasbench201_table belongs to space {NASBENCH201.name}. Received: space {config.space!r}")
    return load_table(path)


class TrueAccuracy(keras.callbacks.Callback):
    """Adds the true test accuracies of the supernet's present cell, in per cent, to the epoch's logs."""

    def __init__(self, table: BenchmarkTable):
        super().__init__()
        self.table = table

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            accuracies = self.table.accuracies(self.model.supernet.genotype())
            logs.update({f"true_{name}": value for name, value in accuracies.items()})


def true_result(table: BenchmarkTable, genotype) -> dict:
    """What a search's result says of its cell: true accuracies in per cent, and how it stands among all cells."""
    accuracies = table.accuracies(genotype)
    return {
        "true_accuracies": {name: round(value, 4) for name, value in accuracies.items()},
        "true_rank": {name: table.rank(genotype, name) for name in accuracies},
        "true_percentile": {name: round(table.percentile(genotype, name), 2) for name in accuracies},
        "true_best": {name: round(table.best(name)[1], 4) for name in accuracies},
    }


def truth_markdown(result: dict) -> str:
    """The table that a search on NAS-Bench-201 ends with: cell, true accuracies, rank."""
    lines = [
        f"cell {result['genotype']['arch']}",
        "| data           | test accuracy | best in the space | rank  | better than |",
        "| -------------- | ------------- | ----------------- | ----- | ----------- |",
    ]
    for name, value in result["true_accuracies"].items():
        rank, share = result["true_rank"][name], result["true_percentile"][name]
        best = result["true_best"][name]
        lines.append(f"| {name:14} | {value:13.2f} | {best:17.2f} | {rank:5d} | {share:10.2f}% |")
    return "".join(f"{line}\n" for line in lines)
