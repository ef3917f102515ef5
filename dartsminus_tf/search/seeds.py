"""One search for every seed, and their results side by side: how much of a difference is the seed's."""

import csv
import io
import statistics
from collections.abc import Sequence
from pathlib import Path

import keras

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.errors import UsageError
from dartsminus_tf.run import write_atomically
from dartsminus_tf.search.runner import run_search

COLUMNS = ("seed", "validation_accuracy", "skip_normal", "skip_reduce", "genotype", "seconds")
MEASURED = ("validation_accuracy", "skip_normal", "skip_reduce", "seconds")
TITLES = ("seed", "validation accuracy", "skips normal", "skips reduce", "genotype", "seconds")


def run_seeds(config: SearchConfig, model_dir: str | Path, seeds: Sequence[int]) -> list[dict]:
    """Run `config` with every seed of `seeds`, each in `model_dir/seed_<n>`, and write `seeds.md` and `seeds.csv`.

    A finished seed is left alone and an interrupted one goes on.

    Returns:
        the rows of the table: one a seed, then their mean and standard deviation.

    Raises:
        UsageError: where `model_dir` holds anything else, or the search cannot be; nothing is written then.
    """
    path = Path(model_dir)
    _check_directory(path)
    results = []
    for seed in seeds:
        print(f"seed {seed} ({len(results) + 1}/{len(seeds)})", flush=True)
        runtime = config.runtime.model_copy(update={"seed": seed})
        results.append(run_search(config.model_copy(update={"runtime": runtime}), path / f"seed_{seed}"))
        keras.backend.clear_session()
    rows = seed_rows(results)
    write_atomically(path / "seeds.csv", _csv(rows))
    write_atomically(path / "seeds.md", markdown(rows))
    return rows


def _check_directory(path: Path) -> None:
    """Only what an earlier call left may be there."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"model_dir must be a directory. Received: {path}")
    allowed = ("seed_", "seeds.")
    if path.is_dir() and not all(child.name.startswith(allowed) for child in path.iterdir()):
        raise UsageError(f"With --seeds, model_dir holds only seed_<n> directories, or is new. Received: {path}")


def seed_rows(results: Sequence[dict]) -> list[dict]:
    """The table's rows from searches' results: COLUMNS of each, then mean and (sample) standard deviation.

    A value that was not measured is None; it is left out of mean and deviation. One value has no deviation.
    """
    rows = [
        {
            "seed": result["seed"],
            "validation_accuracy": result["validation_accuracy"],
            "skip_normal": result["skip_connects"]["normal"],
            "skip_reduce": result["skip_connects"]["reduce"],
            "genotype": short_genotype(result["genotype"]),
            "seconds": result["seconds"],
        }
        for result in results
    ]
    values = {name: [row[name] for row in rows if row[name] is not None] for name in MEASURED}
    means = {name: statistics.fmean(found) if found else None for name, found in values.items()}
    deviations = {name: statistics.stdev(found) if len(found) > 1 else None for name, found in values.items()}
    empty = dict.fromkeys(COLUMNS)
    return [*rows, empty | {"seed": "mean"} | means, empty | {"seed": "std"} | deviations]


def short_genotype(genotype: dict) -> str:
    """Both cells on one line: "N sep3:0 skip:1 / ... R ...", a slash between nodes, the state after the operation."""
    cells = []
    for kind, letter in (("normal", "N"), ("reduce", "R")):
        entries = [f"{_short_name(name)}:{state}" for name, state in genotype[kind]]
        nodes = [" ".join(entries[first : first + 2]) for first in range(0, len(entries), 2)]
        cells.append(f"{letter} {' / '.join(nodes)}")
    return " ".join(cells)


def _short_name(primitive: str) -> str:
    """ "sep3" for "sep_conv_3x3", "max" for "max_pool_3x3", "skip" for "skip_connect"."""
    kind, *rest = primitive.split("_")
    size = rest[-1][0] if len(rest) == 2 and rest[0] == "conv" else ""
    return kind + size if kind in ("sep", "dil", "max", "avg", "skip") else primitive


def _cell(name: str, value) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return (
            f"{value:.1f}" if name == "seconds" else f"{value:.4f}" if name == "validation_accuracy" else f"{value:.2f}"
        )
    return str(value)


def markdown(rows: Sequence[dict]) -> str:
    """The rows as an aligned Markdown table."""
    body = [[_cell(name, row[name]) for name in COLUMNS] for row in rows]
    widths = [max(len(line[i]) for line in [list(TITLES), *body]) for i in range(len(COLUMNS))]
    lines = [list(TITLES), ["-" * width for width in widths], *body]
    return "".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |\n" for line in lines
    )


def _csv(rows: Sequence[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return text.getvalue()
