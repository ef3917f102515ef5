"""Runs, weights and SavedModels of commit f778a12 (`tests/legacy/make.py`) go on and give what they gave there."""

import json

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.legacy.artefacts import (
    arrays,
    backbone_outputs,
    call,
    network_outputs,
    outcome,
    recorded,
    unequal,
    unpack,
)

RUNS = [
    pytest.param("search_s0", marks=pytest.mark.slow),
    "search_nasbench201",
    pytest.param("search_progressive", marks=pytest.mark.slow),
    pytest.param("search_mobilenet", marks=pytest.mark.slow),
    "train_run",
]


def assert_same(actual: dict, expected: dict) -> None:
    assert actual.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", RUNS)
def test_an_interrupted_run_goes_on_to_the_end_that_it_had(name, tmp_path):
    about = recorded(unpack(name, tmp_path), name)
    printed = call(ROOT, tmp_path, about.pop("command"))
    assert "epoch " in printed and "epoch 1/" not in printed  # from its state, not from the beginning
    assert unequal(about, outcome(tmp_path / name), 1e-4) == []


@pytest.mark.parametrize("name", ["train_cell", "train_auxiliary", "train_nasbench201", "train_mobilenet"])
def test_weights_of_a_finished_training_give_the_same_outputs(name, tmp_path):
    unpack(name, tmp_path)
    assert_same(network_outputs(tmp_path / name), arrays(tmp_path / f"{name}.npz"))


def test_a_backbone_loads_and_a_finished_training_exports_to_the_same(tmp_path):
    for name in ("train_cell", "backbone"):
        unpack(name, tmp_path)
    expected = arrays(tmp_path / "backbone.npz")
    assert_same(backbone_outputs(tmp_path / "backbone"), expected)
    call(ROOT, tmp_path, ["export", "--model_dir=train_cell", "--export_dir=again"])
    assert_same(backbone_outputs(tmp_path / "again"), expected)
    before, now = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("backbone", "again"))
    # Then the key held the family; the runs of then do not say which of its spaces they were about.
    assert (before.pop("space"), now["family"], now["space"]) == ("darts", "darts", None)
    assert unequal(before | {"versions": {}}, now, 1e-6) == []
