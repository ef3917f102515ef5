"""What an export refuses: places and formats before TensorFlow is imported, networks and files that are not sound."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dartsminus_tf as dm
from dartsminus_tf.cli import export
from dartsminus_tf.cli.quickstart import Quickstart
from dartsminus_tf.export import saved_model
from dartsminus_tf.export.formats import read_formats
from dartsminus_tf.export.parity import require_parity
from dartsminus_tf.foundation.disk.digests import folder_digests
from dartsminus_tf.foundation.errors import UsageError
from tests.conftest import ROOT
from tests.finished_run import refused, with_digests
from tests.test_portable import CELLS


@pytest.fixture
def run(run, tmp_path, monkeypatch):
    """A finished training in a folder of its own, which the process works in; TensorFlow must not be asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export, "configure", None)
    return run


@pytest.mark.parametrize(
    ("place", "rule"),
    [
        (".", "must be new or empty"),
        ("run", "must be new or empty"),
        ("run/config.yaml", "must be new or empty"),
        ("run/config.yaml/x", "must be in a folder"),
        ("run/config.yaml/x/y", "must be in a folder"),
        ("..", "must be new or empty"),
        ("/", "must be new or empty"),
        ("/dev/null", "must be new or empty"),
        ("/proc/x", "cannot be made there"),
        ("n" * 300, "cannot be"),
    ],
)
def test_places_that_cannot_be_cost_no_time(run, capsys, place, rule):
    line = refused(capsys, run, f"--export_dir={place}")
    assert line.startswith("error: --export_dir ") and rule in line and line.endswith(f"Received: {place}\n")


def test_the_own_place_is_checked_too(run, capsys):
    (run / "backbone").mkdir()
    (run / "backbone" / "mine").touch()
    assert "must be new or empty" in refused(capsys, run)


@pytest.mark.parametrize(
    ("name", "rule"), [("backbone", "new or empty"), ("backbone/mine", "new or empty"), (".", "in a folder")]
)
def test_a_quickstart_asks_for_the_place_of_its_export_first(tmp_path, name, rule):
    """Not after a search and a training."""
    path = tmp_path / "quick"
    file = (path / name).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=rf"must be {rule}.* Received: {path / 'backbone'}$"):
        Quickstart(SimpleNamespace(), path).run()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("formats", "rule"),
    [
        ("coreml", "formats are litert, onnx (or tflite). Received: 'coreml'"),
        ("litert,", "Received: ''"),
        ("onnx,tensorrt", "Received: 'tensorrt'"),
        ("litert onnx", "Received: 'litert onnx'"),
        ("litert,litert", "litert stands there twice"),
        ("tflite,litert", "litert stands there twice"),
        ("onnx,litert,ONNX", "onnx stands there twice"),
    ],
)
def test_formats_that_are_none_cost_no_time(run, capsys, formats, rule):
    assert rule in refused(capsys, run, f"--formats={formats}")


@pytest.mark.parametrize(
    ("names", "formats"),
    [
        ([], []),
        (["tflite"], ["litert"]),
        (["LiteRT", " onnx"], ["litert", "onnx"]),
        (["ONNX", "TFLite"], ["onnx", "litert"]),
    ],
)
def test_formats_have_their_usual_names(names, formats):
    assert read_formats(names) == formats


@pytest.mark.parametrize(
    ("name", "package"), [("onnx", "tf2onnx"), ("onnx", "onnxruntime"), ("tflite", "ai_edge_litert")]
)
def test_a_missing_package_costs_no_time(run, capsys, monkeypatch, name, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == package else find(wanted))
    line = refused(capsys, run, f"--formats={name}")
    assert 'pip install "dartsminus_tf[export]"' in line and line.endswith(f"Received: {package}\n")


# Networks


@pytest.fixture
def network():
    model = dm.build_network(CELLS, channels=4, layers=3, num_classes=3)
    model.build((1, 16, 16, 3))
    return model


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, -1, "moving_variance"])
def test_networks_that_are_not_finite_are_refused(network, tmp_path, value, which):
    named = [variable for variable in network.variables if variable.name == which]
    variable = named[0] if named else network.variables[which]
    values = variable.numpy()
    values.reshape(-1)[-1] = value
    variable.assign(values)
    with pytest.raises(UsageError, match=rf"must be finite numbers, and those of .*{variable.name} are not"):
        dm.export_backbone(network, tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def shift(name: str, by: float):
    """Adds `by` to the last variable of that name."""

    def change(model) -> None:
        variable = [variable for variable in model.variables if variable.name == name][-1]
        variable.assign(variable.numpy() + np.float32(by))

    return change


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A network and what was exported of it."""
    model = dm.build_network(CELLS, channels=4, layers=3, num_classes=3)
    model.build((1, 16, 16, 3))
    return model, dm.export_backbone(model, tmp_path_factory.mktemp("written") / "backbone")


@pytest.mark.parametrize(
    ("change", "endpoint"),
    [
        (shift("bias", 1e-3), "classify"),
        (shift("bias", -2e-5), "classify"),
        (shift("bias", float("nan")), "classify"),
        (shift("moving_mean", 0.1), "classify"),
        (None, "serve"),
    ],
    ids=["bias", "little", "nan", "statistics", "features"],
)
def test_a_network_that_gives_something_else_after_a_reload_is_refused(written, monkeypatch, change, endpoint):
    model, folder = written
    kept = model.get_weights()
    if endpoint == "serve":
        features = model.features
        monkeypatch.setattr(model, "features", lambda *a, **k: {n: 1.001 * f for n, f in features(*a, **k).items()})
    else:
        change(model)
    try:
        with pytest.raises(UsageError, match=rf"^The SavedModel's {endpoint} gives other values"):
            require_parity(model, folder)
    finally:
        model.set_weights(kept)


def test_the_same_network_after_a_reload(written):
    assert require_parity(*written) <= 1e-6


def test_what_is_refused_after_it_was_written_is_gone(network, tmp_path, monkeypatch):
    def write_out(folder, verbose):
        (tmp_path / "a" / "seen").mkdir()
        Path(folder, "saved_model.pb").touch()

    def other(*_):
        (tmp_path / "a" / "seen").rmdir()
        raise UsageError("other values")

    monkeypatch.setattr(saved_model, "_archive", lambda _: SimpleNamespace(write_out=write_out))
    monkeypatch.setattr(saved_model, "require_parity", other)
    with pytest.raises(UsageError, match="other values"):
        dm.export_backbone(network, tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_of_two_exports_to_one_place_one_is_whole(old, tmp_path):
    """Two commands at once, of two trainings with different weights: the loser says so on one line."""
    command = [sys.executable, str(ROOT / "tools" / "export.py")]
    runs = [with_digests(old, tmp_path / f"run_{number}") for number in range(2)]
    for trial in range(3):
        place = tmp_path / f"backbone_{trial}"
        both = [
            subprocess.Popen(
                [*command, f"--model_dir={path}", f"--export_dir={place}"], stderr=subprocess.PIPE, text=True
            )
            for path in runs
        ]
        said = [process.communicate()[1].strip().splitlines() for process in both]
        assert sorted(process.returncode for process in both) == [0, 2]
        loser = [process.returncode for process in both].index(2)
        assert said[loser] == [f"error: The folder must be new or empty. Received: {place}"]
        manifest = json.loads((place / "manifest.json").read_text())
        assert manifest["source_run"] == str(runs[1 - loser])
        names = {"manifest.json": "", "MODEL_CARD.md": ""}
        assert manifest["digests"] | names == folder_digests(place) | names
    assert not list(tmp_path.glob(".*"))
