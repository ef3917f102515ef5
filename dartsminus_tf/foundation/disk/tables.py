"""Tables as CSV files and as Markdown, and the table that a run writes row by row."""

import csv
import io
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dartsminus_tf.foundation.disk.files import write_atomically
from dartsminus_tf.foundation.errors import UsageError
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
        path: the file.
        rows: those that are there already.
        key: "epoch" or "step"; a whole number in every row.
        parts: further columns that tell rows of one key apart.
    """

    def __init__(self, path: Path, rows: Iterable[Row] = (), key: str = "epoch", parts: Sequence[str] = ()):
        self.path, self.rows, self.key, self.parts = path, list(rows), key, tuple(parts)

    def append(self, row: Row) -> None:
        """Add a row, in place of any of the same key and parts, and of later keys."""
        self.rows = [before for before in self.rows if self._stays(before, row)] + [row]
        self.write()

    def write(self) -> None:
        """Make the file say what the rows say."""
        text = csv_text(self.rows) if self.rows else ""
        if not _says(self.path, text):
            write_atomically(self.path, text)

    def row(self, key: int) -> Row:
        """The row of `key`.

        Raises:
            UsageError: where there is none.
        """
        for row in self.rows:
            if int(row[self.key]) == key:
                return row
        raise UsageError(f"The table has lost the row of {self.key} {key}: put it back. Received: {self.path}")

    def _stays(self, before: Row, row: Row) -> bool:
        key, new = int(before[self.key]), int(row[self.key])
        same = all(_field(before.get(part)) == _field(row.get(part)) for part in self.parts)
        return key < new or (key == new and not same)


def _says(path: Path, text: str) -> bool:
    """Whether the file holds `text`; one that is not there holds none."""
    try:
        return path.read_bytes() == text.encode("utf-8")
    except OSError:
        return not text


def _field(value: object) -> str:
    """A value as the CSV file holds it."""
    return "" if value is None else str(value)


def whole_rows(
    path: Path, key: str = "epoch", parts: Sequence[str] = (), end: int | None = None, say: Callable = print
) -> list[Row]:
    """The rows of a table's file that are whole; those that are not are counted in one line and left out.

    Args:
        path: the file; no rows where there is none.
        key, parts: see `MetricsTable`. Of rows with the same key and parts the last one stays.
        end: rows with this key or a later one are left out silently: they are to be made again.
        say: prints the line.

    Raises:
        UsageError: where the file cannot be read, or its first line does not name the key.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"A table of the run cannot be read ({error.strerror}). Received: {path}") from None
    names, *rest = [*csv.reader(lines[:1]), []][0], *lines[1:]
    if lines and key not in names:
        raise UsageError(f"The first line of a run's table must name the column {key}: move it away. Received: {path}")
    rows: dict[tuple, Row] = {}
    for line in rest:
        row = _row(names, line)
        if row is not None and (row[key] or "").isdecimal():
            same = (int(row[key]), *(_field(row.get(part)) for part in parts))
            rows[same] = row
    lost = len([line for line in rest if line]) - len(rows)
    if lost:
        say(f"{path}: {lost} damaged or repeated rows are left out")
    in_order = sorted(rows.items(), key=lambda item: item[0][0])
    return [row for place, row in in_order if end is None or place[0] < end]


def _row(names: Sequence[str], line: str) -> Row | None:
    """The fields of a line by name; None where it is not a whole row."""
    try:
        fields = next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None
    whole = len(fields) == len(names) and "\ufffd" not in line and "\0" not in line
    return dict(zip(names, fields, strict=True)) if whole else None
