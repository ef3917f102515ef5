"""`dartsminus-export --preset`: published weights as the backbone of a detector."""

import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.cli import export
from dartsminus_tf.export.saved_model import build_manifest
from detection.model.manifest import read_manifest
from tests import torch_files as torch
from tests.test_presets import only, random_state, tiny  # noqa: F401  a fixture


@pytest.fixture
def weights(only, tmp_path, monkeypatch):  # noqa: F811
    """The file of a preset's weights, in the folder that the process works in."""
    monkeypatch.chdir(tmp_path)
    state = random_state(only(tiny("timm", padding="same")), "timm")
    (tmp_path / "w.pth").write_bytes(torch.saved(state))
    return tmp_path / "w.pth"


def call(*arguments: str) -> int:
    return export.run(["export", *arguments])


def test_the_backbone_of_published_weights(weights, capsys):
    assert call("--preset=tiny_imagenet", "--weights_file=w.pth", "--image_size=64") == 0
    assert "exported runs/tiny_imagenet: channels at levels 2: 8, 3: 16, 4: 24, 5: 24; tiny_imagenet" in (
        capsys.readouterr().out
    )
    folder = weights.parent / "runs/tiny_imagenet"
    manifest = read_manifest(str(folder))
    assert manifest.mean == pytest.approx((127 / 255,) * 3) and manifest.std == pytest.approx((128 / 255,) * 3)
    assert manifest.raw["published"]["name"] == "tiny_imagenet" and manifest.raw["data"] == "imagenet2012"
    assert manifest.raw["image_size"] == [64, 64]
    x = tf.random.normal([2, 64, 64, 3])
    loaded = tf.saved_model.load(str(folder))
    np.testing.assert_allclose(loaded.classify(x), dm.from_preset("w.pth")(x), rtol=1e-5)
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "`tiny_imagenet`, published weights (nowhere" in card and "derived by DARTS-" not in card
    assert "ImageNet (ILSVRC 2012)" in card


def test_a_network_with_a_new_classifier_is_not_called_published(weights):
    assert build_manifest(dm.from_preset("w.pth"), None, {}, None, None)["published"]["name"] == "tiny_imagenet"
    assert build_manifest(dm.from_preset("w.pth", num_classes=2), None, {}, None, None)["published"] is None


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--preset=lite0"], "Presets are tiny_imagenet, the zoo's genotypes, or a file. Received: 'lite0'"),
        (["--preset=tiny_imagenet", "--model_dir=runs/a"], "--preset and --model_dir exclude each other"),
        (["--weights_file=w.pth"], "--weights_file belongs to --preset"),
        (["--image_size=32"], "--image_size belongs to --preset"),
        (["--preset=tiny_imagenet", "--export_dir=w.pth"], "--export_dir must be new or empty"),
    ],
)
def test_what_cannot_be_is_refused_before_tensorflow_is_needed(weights, monkeypatch, capsys, arguments, rule):
    monkeypatch.setattr(export, "configure", None)
    assert call(*arguments) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and rule in line and line.count("\n") == 1


def test_weights_that_are_not_there(weights, capsys):
    assert call("--preset=tiny_imagenet") == 2
    assert "are given as file=" in capsys.readouterr().err
