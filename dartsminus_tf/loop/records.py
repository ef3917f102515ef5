"""The tables of a run, `metrics.csv` and its like: kept in its states, and written as CSV for people to read.

What a run reads back comes from the state that it goes on from. The files are made again from it where they differ:
whatever befell them, a result holds the numbers that were measured.
"""

from pathlib import Path

from dartsminus_tf.foundation.disk.tables import MetricsTable, Row, whole_rows
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.states import CHECKPOINTS, State, Tables
from dartsminus_tf.loop.checkpoints import Checkpoints


class Records:
    """The tables in `folder`, each with a row an epoch."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._tables: dict[str, MetricsTable] = {}
        self._before: int | None = None

    def table(self, name: str) -> MetricsTable:
        """The table of this file name, with the rows of the epochs that are behind the run."""
        if name not in self._tables:
            path, end = self.folder / name, self._before
            # States of versions that kept no tables: then the file is all there is.
            self._tables[name] = MetricsTable(path, whole_rows(path, end=end) if end else ())
        return self._tables[name]

    def content(self) -> Tables:
        """{file name: rows}, as a state keeps them."""
        return {name: table.rows for name, table in self._tables.items()}

    def restore(self, state: State | None) -> None:
        """Go to what `state` holds (None: to nothing), and make the files say the same."""
        if state is not None and state.tables is None:
            self._before = state.position.epoch
        for name in [*self._tables, *(state.tables or {} if state else {})]:
            table = self.table(name)
            table.rows = self._rows_of(state, table)
            table.write()

    def _rows_of(self, state: State | None, table: MetricsTable) -> list[Row]:
        if state is None:
            return []
        if state.tables is None:
            return [row for row in table.rows if int(row[table.key]) < state.position.epoch]
        return list(state.tables.get(table.path.name, ()))


def read_tables(run: Path) -> Tables | None:
    """The tables in the newest whole state of the run directory; None where there is none, or it is an old one."""
    state = Checkpoints(run / CHECKPOINTS, writes=False).newest()
    return state.tables if state else None


def mend_tables(run: Path) -> None:
    """Make the CSV files of a finished run again where they are not what its last state holds."""
    for name, rows in (read_tables(run) or {}).items():
        MetricsTable(run / name, rows).write()


def rows_of(tables: Tables | None, run: Path, name: str) -> list[Row]:
    """The rows of a table of the run, one an epoch without a gap.

    Args:
        tables: of `read_tables`; where there are none, the file is read.

    Raises:
        UsageError: where neither a state nor the file holds them.
    """
    rows = list(tables.get(name, ())) if tables is not None else whole_rows(run / name)
    if [int(row["epoch"]) for row in rows] != list(range(len(rows))):
        raise UsageError(f"The table has lost epochs, and no checkpoint holds them. Received: {run / name}")
    return rows
