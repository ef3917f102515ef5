"""Checkpoints of detectors that are damaged, cut, gone or not finite, and places that cannot be written to.

In prediction, evaluation and export alike: one line that names them, exit code 2, and nothing written.
"""

import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from test_detection_damage import cut, flip, refused, replace_by_folder

from dartsminus_tf.foundation.errors import UsageError
from detection.model import experiment
from detection.run import checkpoints, serving
from tests.legacy.artefacts import unpack

MODES = ("predict", "eval", "export")
INDEX, DATA = "ckpt-10.index", "ckpt-10.data-00000-of-00001"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run, its backbone and its data."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("backbone", "scenes", "detect"):
        unpack(name, folder)
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of the run, in whose folder the process works."""
    shutil.copytree(trained / "detect", tmp_path / "detect")
    for name in ("backbone", "scenes"):
        (tmp_path / name).symlink_to(trained / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "detect"


def content(folder) -> dict:
    """{file: its content} but for locks."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: path.read_bytes() for path in files}


def rewrite(path, change) -> None:
    """Writes a checkpoint again, whole, with `change` made to the first kernel."""
    reader = tf.train.load_checkpoint(str(path))
    names = sorted(reader.get_variable_to_shape_map())
    values = {name: reader.get_tensor(name) for name in names}
    kernel = next(name for name in names if name.startswith("head/") and np.ndim(values[name]) == 4)
    change(values[kernel])
    tensors = [tf.constant(values[name]) for name in names]
    tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)


def damage_of(value):
    def change(kernel):
        kernel[0, 0, 0, 0] = value

    return lambda run: rewrite(run / "ckpt-10", change)


DAMAGE = {
    "flipped data": lambda run: flip(run / DATA, 0),
    "flipped index": lambda run: flip(run / INDEX, 0),
    "cut data": lambda run: cut(run / DATA, 0.5),
    "cut index": lambda run: cut(run / INDEX, 0.9),
    "empty data": lambda run: cut(run / DATA, 0),
    "empty index": lambda run: cut(run / INDEX, 0),
    "no data": lambda run: (run / DATA).unlink(),
    "no index": lambda run: (run / INDEX).unlink(),
    "a folder": lambda run: replace_by_folder(run / INDEX),
    "nan": damage_of(np.nan),
    "infinite": damage_of(np.inf),
}
NAMES = {
    "empty": b"",
    "text": b"no checkpoint",
    "binary": b"\xff\xfe\x00",
    "half": b'model_checkpoint_path: "ckpt-1',
    "another": b'model_checkpoint_path: "weights"\n',
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_refused_and_left(capsys, run, name, mode):
    DAMAGE[name](run)
    before = content(run)
    line = refused(capsys, f"--model_dir={run}", f"--mode={mode}", "--quiet")
    assert "--mode=train_and_eval goes on from the newest one that is whole" in line
    assert line.endswith(f"Received: '{run / 'ckpt-10'}'") and content(run) == before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_list_of_checkpoints_is_refused(capsys, run, name, mode):
    (run / "checkpoint").write_bytes(NAMES[name])
    before = content(run)
    line = refused(capsys, f"--model_dir={run}", f"--mode={mode}", "--quiet")
    assert line.endswith(f"Received: '{run / 'checkpoint'}'") and content(run) == before


@pytest.mark.parametrize("mode", MODES)
def test_without_a_list_of_checkpoints_there_is_no_trained_run(capsys, run, mode):
    (run / "checkpoint").unlink()
    assert "--model_dir has no trained run" in refused(capsys, f"--model_dir={run}", f"--mode={mode}")


@pytest.mark.parametrize("part", [INDEX, DATA])
def test_every_flipped_bit_of_a_checkpoint_is_found(run, part):
    whole = (run / part).read_bytes()
    assert checkpoints.whole_checkpoint(str(run)) == str(run / "ckpt-10")
    for seed in range(25):
        flip(run / part, seed)
        with pytest.raises(UsageError, match="latest checkpoint cannot be used"):
            checkpoints.whole_checkpoint(str(run))
        (run / part).write_bytes(whole)


# Places


@pytest.mark.parametrize(
    ("mode", "place", "rule"),
    [
        ("export", "detect", "must not be the run directory itself"),
        ("export", "detect/.", "must not be the run directory itself"),
        ("export", "file", "must be in a folder, but .*file is none"),
        ("export", "file/x/y", "must be in a folder, but .*file is none"),
        ("export", "taken", "must be new or empty"),
        ("export", "/proc/x", "cannot be made there"),
        ("export", "/dev/null", "must be in a folder, but /dev/null is none"),
        ("predict", None, "must be a folder"),
    ],
)
def test_places_are_checked_before_tensorflow(capsys, run, tmp_path, monkeypatch, mode, place, rule):
    monkeypatch.setattr(experiment, "build_experiment", None)  # what comes next
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "10").mkdir(parents=True)
    (tmp_path / "taken" / "10" / "mine").touch()
    (run / "predictions").touch()
    before = sorted(tmp_path.rglob("*"))
    line = refused(capsys, f"--model_dir={run}", f"--mode={mode}", *([f"--export_dir={place}"] if place else []))
    assert re.search(rule, line) and sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("place", [None, "new", "a/b", "."])
def test_places_that_can_be_come_to_the_next_step(run, tmp_path, monkeypatch, place):
    from detection.run import directory

    (tmp_path / "taken").mkdir()
    before = sorted(tmp_path.rglob("*"))
    expected = run / "export" / "10" if place is None else tmp_path / place / "10"
    assert directory.export_folder(str(run), place).resolve() == expected
    assert sorted(tmp_path.rglob("*")) == before


# Exports


class Detector:
    """Finds in every image what it is told to; as the live one and as the one that is loaded again."""

    def __init__(self, scores):
        found = {"detection_boxes": tf.zeros([1, 2, 4]), "detection_scores": tf.constant([scores])}
        self.detect_images = lambda images: found
        self.signatures = dict.fromkeys(("image_tensor", "serving_default"), lambda **_: found)


@pytest.mark.parametrize("scores", [[0.5, 0.26], [0.49, 0.25], [float("nan"), 0.25], [0.5, float("inf")]])
def test_an_export_that_finds_something_else_is_refused(tmp_path, monkeypatch, scores):
    live = Detector([0.5, 0.25])
    monkeypatch.setattr(tf.saved_model, "load", lambda _: Detector(scores))
    with pytest.raises(UsageError, match="other detection_scores after a reload"):
        serving._require_parity(live, tmp_path)
    monkeypatch.setattr(tf.saved_model, "load", lambda _: Detector([0.5, 0.2505]))
    serving._require_parity(live, tmp_path)
