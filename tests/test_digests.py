"""Digests tie files to the JSON file beside them: what was changed is refused, what is older than digests is not."""

import hashlib
import json
import os
import random

import pytest

from dartsminus_tf.foundation.disk import digests
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT, write_result

VALUES = [
    {"a": 1, "seconds": 2.5},
    {"accuracy": 0.1 + 0.2, "names": ["ä", "\n", ""], "tuple": (1, 2)},
    {"nested": {"rows": [{"seconds": 1}, {"seconds": 2}]}, "none": None, "numbers": {1: "one", 10: "ten", 2: "two"}},
    {"large": 10**18, "small": 1e-300, "digests": {"result.json": "of another time"}},
]


@pytest.fixture
def folder(tmp_path):
    """Two files and the JSON file that names them."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "weights").write_bytes(b"abc")
    (tmp_path / "sub" / "graph").write_bytes(b"")
    return tmp_path


def test_digests_are_sha256(folder):
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digests.folder_digests(folder) == {"sub/graph": empty, "weights": abc}
    (folder / "large").write_bytes(bytes(10**6))
    assert digests.file_digest(folder / "large") == hashlib.sha256(bytes(10**6)).hexdigest()


@pytest.mark.parametrize("value", VALUES)
def test_what_was_written_is_read(folder, value):
    written = write_result(folder, value, digests.folder_digests(folder))
    read = json.loads((folder / RESULT).read_text())
    assert read == json.loads(json.dumps(written)) and set(read["digests"]) == {"weights", "sub/graph", RESULT}
    digests.require_seal(read, folder / RESULT, "x")
    digests.require_files(read, folder / RESULT, ["weights", "sub/graph"], "x")


def test_times_are_no_part_of_a_digest():
    first, second, third = (
        digests.sealed({"a": a, "seconds": s, "rows": [{"seconds": s}]}, "r")["digests"]["r"]
        for a, s in ((1, 1), (1, 2), (2, 1))
    )
    assert first == second != third


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value | {"a": 1.0000001},
        lambda value: value | {"b": None},
        lambda value: {key: value[key] for key in value if key != "a"},
        lambda value: value | {"digests": value["digests"] | {"weights": "0" * 64}},
        lambda value: value | {"digests": {"weights": value["digests"]["weights"]}},
        lambda value: value | {"digests": {}},
        lambda value: value | {"digests": [1]},
        lambda value: value | {"digests": "x"},
        lambda value: value | {"digests": {RESULT: None}},
    ],
)
def test_a_changed_json_file_is_refused(folder, change):
    value = change(write_result(folder, {"a": 1}, digests.folder_digests(folder)))
    with pytest.raises(UsageError, match=rf"not what was written .*: make it anew\. Received: .*{RESULT}$"):
        digests.require_seal(value, folder / RESULT, "make it anew")


@pytest.mark.parametrize("value", [{"a": 1}, {"a": 1, "digests": None}, {}])
def test_what_is_older_than_digests_is_taken_as_it_stands(folder, value):
    digests.require_seal(value, folder / RESULT, "x")
    digests.require_files(value, folder / RESULT, ["weights", "no such file"], "x")


@pytest.mark.parametrize("change", ["flip", "cut", "longer", "empty", "another", "gone", "folder", "fifo"])
@pytest.mark.parametrize("name", ["weights", "sub/graph"])
def test_a_file_that_is_another_is_refused(folder, name, change):
    path = folder / name
    path.write_bytes(random.Random(1).randbytes(100))
    value = write_result(folder, {}, digests.folder_digests(folder))
    content = bytearray(path.read_bytes())
    content[50] ^= 1 << 3
    contents = {"flip": bytes(content), "cut": content[:99], "longer": path.read_bytes() + b"\0"}
    contents |= {"empty": b"", "another": random.Random(2).randbytes(100)}
    path.unlink()
    if change in contents:
        path.write_bytes(contents[change])
    elif change != "gone":
        path.mkdir() if change == "folder" else os.mkfifo(path)
    expected = "does not belong to the result.json" if change in contents else "names is missing"
    with pytest.raises(UsageError, match=rf"{expected}.*: train again\. Received: .*{name}$"):
        digests.require_files(value, folder / RESULT, [name], "train again")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UsageError, match=rf"No such file, or no regular one\. Received: {path}$"):
            digests.file_digest(path)
