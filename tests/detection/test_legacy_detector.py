"""Scenes, a detector's run and its export of commit f778a12 (`tests/legacy/make.py`) give what they gave there."""

import numpy as np
import pytest

from tests.detection.conftest import REPOSITORY
from tests.legacy.artefacts import arrays, call, detections, detector_outputs, recorded, unequal, unpack


@pytest.fixture
def run(tmp_path):
    """A folder with an interrupted run, its backbone and its data."""
    for name in ("backbone", "scenes", "detect"):
        unpack(name, tmp_path)
    return tmp_path


def test_prepared_scenes_are_known(run):
    printed = call(REPOSITORY, run, recorded(run, "scenes")["command"])
    assert printed.count("already prepared, verified") == 2


def evaluate(run) -> None:
    call(REPOSITORY, run, ["detect", "--model_dir=detect", "--mode=eval"])
    assert unequal(recorded(run, "detect")["eval"], detections(run / "detect"), 1e-4) == []


@pytest.mark.slow
def test_an_interrupted_run_is_evaluated(run):
    evaluate(run)


@pytest.mark.slow
def test_an_interrupted_run_goes_on(run):
    """As it did there: after an evaluation, which adds a row to its metrics."""
    evaluate(run)
    about = recorded(run, "detect")
    printed = call(REPOSITORY, run, about["command"])
    assert "from checkpoint at step" in printed
    assert unequal(about["trained"], detections(run / "detect"), 1e-3) == []


def test_an_exported_detector_finds_the_same(tmp_path):
    unpack("detector", tmp_path)
    outputs, expected = detector_outputs(tmp_path / "detector" / "16"), arrays(tmp_path / "detector.npz")
    assert outputs.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(outputs[name], values, rtol=1e-4, atol=1e-4, err_msg=name)
