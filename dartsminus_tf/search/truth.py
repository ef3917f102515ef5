"""The true accuracy of the cell that a search holds, epoch by epoch and at the end, in spaces where it is known."""

from typing import Protocol

import keras

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.disk.tables import markdown
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.genotype import Genotype


class AccuracyTable(Protocol):
    """What a family's table of true accuracies, in per cent, can be asked for."""

    def accuracies(self, genotype: Genotype) -> dict[str, float]:
        """{data set: accuracy}."""

    def rank(self, genotype: Genotype, data: str) -> int:
        """1 for the best cell on `data`."""

    def percentile(self, genotype: Genotype, data: str) -> float:
        """The share of all cells, in per cent, that are worse on `data`."""

    def best(self, data: str) -> tuple[Genotype, float]:
        """The best cell on `data`, and its accuracy."""


def table_of(config: SearchConfig) -> AccuracyTable | None:
    """The table that `config` names, or None.

    Raises:
        UsageError: where it cannot be read, or nobody knows the true accuracies of the config's space.
    """
    path, family = config.runtime.accuracy_table, family_of(config.space)
    if path is None:
        return None
    if family.truth is None:
        raise UsageError(f"accuracy_table: nobody knows true accuracies there. Received: space {config.space!r}")
    return family.load(family.truth)(path)


class TrueAccuracy(keras.callbacks.Callback):
    """Adds the true test accuracies of the supernet's present cell, in per cent, to the epoch's logs."""

    def __init__(self, table: AccuracyTable):
        super().__init__()
        self.table = table

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            accuracies = self.table.accuracies(self.model.supernet.genotype())
            logs.update({f"true_{name}": value for name, value in accuracies.items()})


def true_result(table: AccuracyTable, genotype) -> dict:
    """What a search's result says of its cell: true accuracies in per cent, and how it stands among all cells."""
    accuracies = table.accuracies(genotype)
    return {
        "true_accuracies": {name: round(value, 4) for name, value in accuracies.items()},
        "true_rank": {name: table.rank(genotype, name) for name in accuracies},
        "true_percentile": {name: round(table.percentile(genotype, name), 2) for name in accuracies},
        "true_best": {name: round(table.best(name)[1], 4) for name in accuracies},
    }


def truth_markdown(result: dict) -> str:
    """The table that a search with known accuracies ends with: cell, true accuracies, rank."""
    rows = [
        {
            "data": name,
            "test_accuracy": f"{value:.2f}",
            "best_in_the_space": f"{result['true_best'][name]:.2f}",
            "rank": result["true_rank"][name],
            "better_than": f"{result['true_percentile'][name]:.2f}%",
        }
        for name, value in result["true_accuracies"].items()
    ]
    return f"cell {Genotype.from_dict(result['genotype'])}\n{markdown(rows)}"
