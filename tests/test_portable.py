"""LiteRT and ONNX files give the network's logits; the manifest and the card say what was measured."""

import json

import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.export.card import LICENCES, model_card
from dartsminus_tf.export.formats import FILES
from dartsminus_tf.export.portable import RUNNERS, export_portable
from dartsminus_tf.foundation.errors import UsageError

CELLS = dm.Genotype.from_dict(
    {
        "normal": [["skip_connect", 0], ["sep_conv_3x3", 1]],
        "normal_concat": [2],
        "reduce": [["avg_pool_3x3", 0], ["max_pool_3x3", 1]],
        "reduce_concat": [2],
    }
)
MOBILE = dm.Genotype.from_string("k3e3,skip|k5e3|k3e3|k3e3|k7e3|k3e3")


def network(family: str):
    if family == "cells":
        return dm.build_network(CELLS, channels=4, layers=3, num_classes=3, stem="imagenet")
    options = {"width_multiplier": 0.1, "squeeze_excitation": True, "activation": "swish"}
    return dm.build_network(MOBILE, num_classes=3, **options)


@pytest.mark.parametrize("family", ["cells", pytest.param("mobile", marks=pytest.mark.slow)])
def test_files_give_the_networks_logits(family, tmp_path):
    model = network(family)
    model.build((1, 32, 32, 3))
    for variable in model.variables:  # statistics and offsets that are not the trivial ones
        if variable.name in ("moving_mean", "beta"):
            variable.assign(tf.random.normal(variable.shape))
    path = dm.export_backbone(
        model,
        tmp_path / "out",
        data="imagenette/320px-v2",
        formats=["TFLite", "onnx"],
        recipe="epochs: 3\n",
        metrics={"test_accuracy": 0.25},
    )
    images = np.random.default_rng(1).normal(size=(1, 32, 32, 3)).astype(np.float32)
    expected = model(images).numpy()
    assert np.abs(expected).max() > 1e-3
    for kind, file in FILES.items():
        np.testing.assert_allclose(RUNNERS[kind](path / file)(images), expected, atol=1e-4)
    manifest = json.loads((path / "manifest.json").read_text())
    assert set(manifest["parity"]) == {"litert", "onnx"} and max(manifest["parity"].values()) < 1e-4
    assert all(value > 0 for value in manifest["latency"]["milliseconds"].values())
    card = (path / "MODEL_CARD.md").read_text()
    for part in (f"{manifest['parameters']:,}", "| test_accuracy | 0.2500 |", LICENCES["imagenette"], "epochs: 3"):
        assert part in card
    assert f"{manifest['latency']['milliseconds']['onnx']}" in card and "## Limits" in card
    assert next(iter(manifest["genotype"])) in card


def test_wrong_formats_give_one_line(tmp_path):
    model = dm.build_network(CELLS, channels=4, layers=3, num_classes=3)
    model.build((1, None, None, 3))
    with pytest.raises(UsageError, match="formats are litert, onnx"):
        export_portable(model, tmp_path, ["coreml"])
    with pytest.raises(UsageError, match="known size"):
        export_portable(model, tmp_path, ["onnx"])


def test_a_card_of_unknown_origin_says_so():
    model = dm.build_network(CELLS, channels=4, layers=3, num_classes=3)
    model.build((1, None, None, 3))
    from dartsminus_tf.export.saved_model import IMAGENET, build_manifest

    card = model_card(build_manifest(model, IMAGENET, {}, None, None))
    for part in ("Not measured", "unknown data", "Not trained by this package", "Not known to this tool"):
        assert part in card
