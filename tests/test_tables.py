"""Tables of a run: rows by key, and what is left of a damaged file."""

import csv
import io

import pytest

from dartsminus_tf.foundation.disk.tables import MetricsTable, csv_text, whole_rows
from dartsminus_tf.foundation.errors import UsageError


def test_a_row_replaces_its_like_and_what_comes_later(tmp_path):
    path = tmp_path / "metrics.csv"
    table = MetricsTable(path)
    for epoch in range(3):
        table.append({"epoch": epoch, "loss": epoch / 2})
    assert path.read_text() == "epoch,loss\n0,0.0\n1,0.5\n2,1.0\n"
    rows = whole_rows(path, end=2)
    assert rows == [{"epoch": "0", "loss": "0.0"}, {"epoch": "1", "loss": "0.5"}]
    table = MetricsTable(path, rows)
    table.append({"epoch": 1, "loss": 7})
    assert path.read_text() == "epoch,loss\n0,0.0\n1,7\n"
    assert table.row(1) == {"epoch": 1, "loss": 7} and table.row(0)["loss"] == "0.0"
    with pytest.raises(UsageError, match=r"lost the row of epoch 2: .*metrics\.csv"):
        table.row(2)


def test_columns_that_come_later(tmp_path):
    table = MetricsTable(tmp_path / "metrics.csv")
    table.append({"epoch": 0, "loss": 1})
    table.append({"epoch": 1, "loss": None, "ap": 0.5})
    assert (tmp_path / "metrics.csv").read_text() == "epoch,loss,ap\n0,1,\n1,,0.5\n"


def test_rows_by_step_and_part(tmp_path):
    path, parts = tmp_path / "steps.csv", ("split", "fold")
    table = MetricsTable(path, key="step", parts=parts)
    for step in (10, 20):
        for fold in (None, 1, 0):
            table.append({"step": step, "split": "val", "fold": fold, "ap": step})
    assert len(table.rows) == 6
    table = MetricsTable(path, whole_rows(path, "step", parts), "step", parts)
    for fold in (1, None, 0):  # read from the file, they are texts
        table.append({"step": 20, "split": "val", "fold": fold, "ap": 0})
    assert [row["ap"] for row in table.rows] == ["10"] * 3 + [0] * 3
    table.append({"step": 20, "split": "test", "fold": None, "ap": 1})
    assert [row["ap"] for row in table.rows][3:] == [0, 0, 0, 1]
    assert len(whole_rows(path, "step", parts, end=20)) == 3


WHOLE = "step,split,ap\n10,train,0.5\n20,train,0.25\n20,val,1\n30,train,0\n"
DAMAGE = {
    "half a row at the end": (WHOLE[:-3], [0, 1, 2], 1),
    "a row cut in a field": (WHOLE.replace("20,train,0.25", "20,tr"), [0, 2, 3], 1),
    "half a row glued to the next": (WHOLE.replace("0.25\n20,val", "0.220,val"), [0, 3], 1),
    "a row twice": (WHOLE + "30,train,0\n", [0, 1, 2, 3], 1),
    "rows again after a crash": (WHOLE + "20,train,0.25\n20,val,1\n30,train,0\n", [0, 1, 2, 3], 3),
    "no number": (WHOLE.replace("\n10,", "\nten,"), [1, 2, 3], 1),
    "a negative number": (WHOLE.replace("\n10,", "\n-10,"), [1, 2, 3], 1),
    "no UTF-8": (WHOLE.replace("20,val", "20,v\xff").encode("latin-1"), [0, 1, 3], 1),
    "a zero byte": (WHOLE.replace("20,val", "20,v\0al"), [0, 1, 3], 1),
    "an open quote": (WHOLE.replace("20,val", '20,"val'), [0, 1, 3], 1),
    "an open quote at the end of a row": (WHOLE.replace("20,val,1", '20,val,"1'), [0, 1, 3], 1),
    "empty lines": (WHOLE.replace("\n20", "\n\n20"), [0, 1, 2, 3], 0),
    "other ends of lines": (WHOLE.replace("\n", "\r\n"), [0, 1, 2, 3], 0),
    "the first line alone": (WHOLE.split("\n")[0], [], 0),
    "nothing": ("", [], 0),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_whole_of_a_damaged_table(name, tmp_path):
    content, left, lost = DAMAGE[name]
    path, said = tmp_path / "metrics.csv", []
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = whole_rows(path, "step", ("split",), say=said.append)
    expected = list(csv.DictReader(io.StringIO(WHOLE)))
    assert rows == [expected[number] for number in left]
    assert said == ([f"{path}: {lost} damaged or repeated rows are left out"] if lost else [])
    MetricsTable(path, rows, "step", ("split",)).append({"step": 30, "split": "val", "ap": 2})
    assert path.read_text() == csv_text([*rows, {"step": 30, "split": "val", "ap": 2}])


@pytest.mark.parametrize("content", ["loss\n1\n", "0,1\n", "\0\n1\n", "epoch;loss\n0;1\n"])
def test_a_table_of_something_else_is_refused(content, tmp_path):
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(UsageError, match=r"must name the column epoch: .*Received: .*metrics\.csv$"):
        whole_rows(tmp_path / "metrics.csv")


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(UsageError, match="cannot be read .*directory"):
        whole_rows(tmp_path)
    assert whole_rows(tmp_path / "gone") == []
