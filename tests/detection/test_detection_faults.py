"""Errors of the machine in the detector's commands: one line and exit code 2; a planted fault keeps its traceback."""

import pytest

from detection.cli import detect, prepare_coco
from tests.test_machine_faults import REAL, raised


@pytest.mark.parametrize("module", [detect, prepare_coco], ids=["detect", "prepare_coco"])
@pytest.mark.parametrize("fault", ["full", "memory", "absent"])
def test_errors_of_the_machine_are_one_line(module, fault, monkeypatch, capsys):
    error = raised(REAL[fault][0])

    def main(values):
        raise error

    monkeypatch.setattr(module, "main", main)
    assert module.run(["tool"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {REAL[fault][1]}")


@pytest.mark.parametrize("module", [detect, prepare_coco], ids=["detect", "prepare_coco"])
def test_a_planted_fault_is_not_hidden(module, monkeypatch):
    monkeypatch.setattr(module, "main", lambda values: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        module.run(["tool"])
