"""Analyses of searches whose files are damaged, lost or being written: the right numbers, or one line."""

import json
import random
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from dartsminus_tf.analysis.compare import run_row
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.search.history import SearchHistory
from dartsminus_tf.search.runner import run_search
from tests.conftest import TINY_SEARCH

TABLES = ["metrics.csv", "genotypes.csv"]
FLIPS = 25


def told(path):
    """What the analyses read of a search."""
    history = SearchHistory(path, "x")
    row = {key: value for key, value in run_row(history).items() if key != "seconds"}
    weights = {kind: array.tolist() for kind, array in history.weights.items()}
    return SimpleNamespace(
        row=row, weights=weights, skips=history.dominant_skips().tolist(), metrics=len(history.metrics)
    )


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "run"
    run_search(load_config(SearchConfig, overrides=[*TINY_SEARCH, "space=nasbench201", "layers=1"]), path)
    return path


@pytest.fixture
def copy(search, tmp_path):
    shutil.copytree(search, tmp_path / "run")
    return tmp_path / "run"


def flipped(content, chance):
    content = bytearray(content)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("content", [b"", b"epoch\n", b"\xff\0", b"epoch,genotype\n0,{}\n", b"{}"])
def test_tables_are_read_from_the_state(name, content, search, copy):
    (copy / name).write_bytes(content)
    assert told(copy) == told(search)


@pytest.mark.parametrize("name", ["metrics.csv", "genotypes.csv", "alphas/epoch_0000.npz", "alphas/epoch_0001.npz"])
def test_flips_are_harmless_or_told(name, search, copy):
    expected, content, chance = told(search), (copy / name).read_bytes(), random.Random(name)
    for _ in range(FLIPS):
        (copy / name).write_bytes(flipped(content, chance))
        try:
            assert told(copy) == expected
        except UsageError as error:
            assert str(copy) in str(error)


def test_a_broken_newest_state_leaves_the_one_before_it(search, copy):
    newest = Checkpoints(copy / "checkpoints").saved()[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    assert told(copy).row["epochs"] == told(search).row["epochs"] - 1


WRONG_TABLES = {
    "metrics.csv": ["epoch,loss\n0,x\n1,1\n", "epoch,loss\n1,1\n", "loss\n1\n", "epoch,loss\n0,1\n2,1\n", ""],
    "genotypes.csv": [
        "epoch,genotype\n0,{}\n1,{}\n",
        "epoch,genotype\n0,{\n1,{\n",
        "epoch,a\n0,1\n1,1\n",
        "",
        "epoch\n0\n",
    ],
}


@pytest.mark.parametrize(("name", "content"), [(name, text) for name, texts in WRONG_TABLES.items() for text in texts])
def test_tables_without_a_state_are_not_believed(name, content, search, copy):
    shutil.rmtree(copy / "checkpoints")
    assert told(copy) == told(search)
    (copy / "result.json").unlink()
    assert told(copy).row["genotype"] == told(search).row["genotype"]
    (copy / name).write_text(content)
    with pytest.raises(UsageError, match=rf"{name}|no epoch behind it"):
        told(copy)


ALPHAS = {
    "no arrays": {},
    "of another space": {"normal": np.zeros((14, 8), np.float32)},
    "of other edges": {"cell": np.zeros((5, 5), np.float32)},
    "of other candidates": {"cell": np.zeros((6, 4), np.float32)},
    "NaN": {"cell": np.full((6, 5), np.nan, np.float32)},
    "text": {"cell": np.full((6, 5), "a")},
    "flat": {"cell": np.zeros(30, np.float32)},
}


@pytest.mark.parametrize("kind", [*ALPHAS, "objects", "empty", "an npy file", "a folder", "gone"])
def test_alphas_are_not_believed(kind, copy):
    file = copy / "alphas" / "epoch_0001.npz"
    file.unlink()
    if kind in ALPHAS:
        np.savez(file, **ALPHAS[kind])
    elif kind == "objects":
        np.savez(file, cell=np.array([{}], dtype=object))
    elif kind == "an npy file":
        with open(file, "wb") as opened:
            np.save(opened, np.zeros((6, 5), np.float32))
    elif kind == "a folder":
        file.mkdir()
    elif kind == "empty":
        file.touch()
    with pytest.raises(UsageError, match=r"alphas/epoch_0001\.npz$"):
        told(copy)


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"cell": 1}', '{"cell": [[1]]}', '{"cell": "abc"}', '{"other": [["a"]]}']
)
def test_the_candidates_of_a_stage_are_not_believed(content, copy):
    (copy / "space.json").write_text(content)
    with pytest.raises(UsageError, match=r"space\.json|Alpha must be that of the space"):
        told(copy)


@pytest.mark.parametrize("content", ["", "[]", "{}", "a: [", "space: nowhere", "\xff\xfe", "epochs: many"])
def test_a_damaged_config_is_one_line(content, copy):
    (copy / "config.yaml").write_text(content, encoding="latin-1")
    with pytest.raises(UsageError):
        told(copy)


def test_a_run_that_is_being_written(search, copy):
    """Alpha and rows are ahead of the state; files of the next state are not there yet."""
    (copy / "result.json").unlink()
    expected = told(copy)
    shutil.copy(copy / "alphas" / "epoch_0001.npz", copy / "alphas" / "epoch_0002.npz")
    (copy / "alphas" / ".1@x.tmp.epoch_0003.npz").write_bytes(b"PK")
    for name in TABLES:
        text = (copy / name).read_text().splitlines()
        (copy / name).write_text("\n".join([*text, text[-1].replace("1,", "2,", 1), "3,"]))
    (copy / "checkpoints" / ".1@x.tmp.epoch_0003_step_000000.0123456789abcdef.npz").write_bytes(b"PK")
    assert told(copy) == expected
    assert json.loads((search / "result.json").read_text())["epochs"] == expected.row["epochs"]
