"""Tables as CSV files and as Markdown."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from dartsminus_tf.run import csv_text, write_atomically

Row = dict[str, object]


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    """Write `rows` as CSV (see `run.csv_text`), making the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, csv_text(rows))
    return path


def markdown(rows: Sequence[Row]) -> str:
    """`rows` as an aligned Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    body = [[cell_text(row.get(name)) for name in names] for row in rows]
    titles = [name.replace("_", " ") for name in names]
    widths = [max(len(line[i]) for line in [titles, *body]) for i in range(len(names))]
    lines = [titles, ["-" * width for width in widths], *body]
    return "".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |\n" for line in lines
    )


def cell_text(value) -> str:
    """A value as a table shows it: "-" for None, two to four decimals for numbers."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
    return str(value)


def mean_and_spread(values: Iterable[float]) -> str | None:
    """ "mean +- standard deviation" of a sample (the mean alone of one value), None of no values."""
    values = list(values)
    if not values:
        return None
    mean = cell_text(float(statistics.fmean(values)))
    return f"{mean} +- {cell_text(float(statistics.stdev(values)))}" if len(values) > 1 else mean
