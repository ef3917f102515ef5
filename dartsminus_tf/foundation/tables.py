"""Tables as CSV files and as Markdown, and the table that a run writes row by row."""

import csv
import io
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.files import write_atomically
from dartsminus_tf.foundation.output import shown

Row = dict[str, object]
_MEANING = re.compile(r"[\\`*|$~<&]|\](?=[(\[])|(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word means itself
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def csv_text(rows: Sequence[Row]) -> str:
    """`rows` as CSV; columns are those of the first row and whatever later ones add. None is an empty field.

    A row is a line: control characters in texts are written as escapes.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: shown(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows
    )
    return text.getvalue()


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    """Write `rows` as CSV, making the directory."""
    write_atomically(path, csv_text(rows))
    return path


def markdown(rows: Sequence[Row]) -> str:
    """`rows` as an aligned Markdown table; texts are shown as they are, whatever they mean in Markdown or HTML."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    body = [[_literal(cell_text(row.get(name))) for name in names] for row in rows]
    titles = [_literal(name.replace("_", " ")) for name in names]
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


def _literal(text: str) -> str:
    """`text` as Markdown that shows it: on one line, characters that mean something escaped."""
    return _MEANING.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), shown(text))


def mean_and_spread(values: Iterable[float]) -> str | None:
    """ "mean +- standard deviation" of a sample (the mean alone of one value), None of no values."""
    values = list(values)
    if not values:
        return None
    mean = cell_text(float(statistics.fmean(values)))
    return f"{mean} +- {cell_text(float(statistics.stdev(values)))}" if len(values) > 1 else mean


class MetricsTable:
    """`metrics.csv` and its like: rows in the order of a key, on the disk after each.

    Args:
        path: the file; rows that are there stay, but for those at `end` or beyond it: they are to be made again.
        end: the first key that the run, as it is resumed, will write.
        key: "epoch" or "step"; a whole number in every row.
        parts: further columns that tell rows of one key apart.

    Raises:
        UsageError: where the file is no such table.
    """

    def __init__(self, path: Path, end: int = 0, key: str = "epoch", parts: Sequence[str] = ()):
        self.path, self.key, self.parts = path, key, tuple(parts)
        self.rows: list[Row] = []
        if path.exists():
            self.rows = [row for row in self._read() if int(row[key]) < end]

    def _read(self) -> list[Row]:
        try:
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if all((row.get(self.key) or "").isdecimal() for row in rows):
                return rows
        except (OSError, UnicodeDecodeError, csv.Error):
            rows = []
        raise UsageError(f"A file of the run is damaged: delete its last rows, or it. Received: {self.path}")

    def append(self, row: Row) -> None:
        """Add a row, in place of any of the same key and parts, and of later keys."""
        self.rows = [before for before in self.rows if self._stays(before, row)] + [row]
        write_atomically(self.path, csv_text(self.rows))

    def _stays(self, before: Row, row: Row) -> bool:
        key, new = int(before[self.key]), int(row[self.key])
        same = all(_field(before.get(part)) == _field(row.get(part)) for part in self.parts)
        return key < new or (key == new and not same)


def _field(value: object) -> str:
    """A value as the CSV file holds it."""
    return "" if value is None else str(value)
