"""Options of mobile networks and supernets by which they hold published weights: where they go and what they do."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.config import SearchConfig, TrainConfig, dump_config
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.export.portable import FILES, RUNNERS, export_portable
from dartsminus_tf.export.saved_model import IMAGENET, build_manifest
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.pretrained.published.table import known_presets
from dartsminus_tf.search.runner import build_search
from dartsminus_tf.spaces.build import network_from_config
from dartsminus_tf.spaces.mobilenet.blocks import InvertedResidual
from dartsminus_tf.spaces.mobilenet.mixed import MobileLayer
from dartsminus_tf.spaces.mobilenet.plan import Convention, LayerPlan, plan_network
from dartsminus_tf.train.runner import build_configured

GENOTYPE = dm.Genotype.from_string("k3e3,skip|k5e3|k3e3|k3e3|k7e3|k3e3")
SIZES = {"widths": (8, 16, 16, 24, 24, 32), "stem_width": 24, "separable_width": 8, "head_width": 40}
OPTIONS = {**SIZES, "padding": "same", "norm_epsilon": 1e-3}


@pytest.mark.parametrize(("kernel", "size"), [(3, 8), (3, 9), (5, 8), (5, 11), (7, 8), (7, 6)])
def test_paddings_differ_at_stride_two_as_the_frameworks_do(kernel, size):
    """A kernel that is one pixel shows where its window stands: at 0 with PyTorch's padding, where SAME says else."""
    x = tf.reshape(tf.range(size * size, dtype=tf.float32), [1, size, size, 1])
    middle = np.zeros((kernel, kernel, 1, 1), np.float32)
    middle[kernel // 2, kernel // 2] = 1
    before = max((-(-size // 2) - 1) * 2 + kernel - size, 0) // 2  # pixels that SAME adds above and to the left
    first = kernel // 2 - before
    for function in (fn.conv2d, fn.depthwise_conv):
        symmetric, same = (function(x, tf.constant(middle), 2, padding=p)[0, :, :, 0] for p in ("symmetric", "same"))
        np.testing.assert_array_equal(symmetric, x[0, ::2, ::2, 0])
        np.testing.assert_array_equal(same, x[0, first::2, first::2, 0])
        at_one = [function(x, tf.constant(middle), 1, padding=p) for p in ("symmetric", "same")]
        np.testing.assert_array_equal(at_one[0], at_one[1])


@pytest.fixture(scope="module")
def network():
    model = dm.build_network(GENOTYPE, num_classes=3, **OPTIONS)
    model.build((1, 32, 32, 3))
    for variable in model.variables:
        if variable.name in ("moving_mean", "beta"):
            variable.assign(tf.random.normal(variable.shape))
        elif variable.name == "moving_variance":  # small, so that epsilon counts
            variable.assign(tf.random.uniform(variable.shape, 1e-3, 2e-3))
    return model


def test_widths_are_those_asked_for(network):
    assert network.stem.conv.conv.kernel.shape == (3, 3, 3, 24)
    assert network.stem.project.conv.kernel.shape == (1, 1, 24, 8)
    assert [layer.channels for layer in network.plan.layers if layer.opens] == list(SIZES["widths"])
    assert network.head.conv.conv.kernel.shape == (1, 1, 32, 40) and network.head.classifier.kernel.shape == (40, 3)
    halves = plan_network((1,) * 6, SIZES["widths"], 0.5, 24, 16, 40)
    assert (halves.stem, halves.separable, halves.layers[-1].channels, halves.head) == (16, 8, 16, 40)
    doubled = plan_network((1,) * 6, SIZES["widths"], 2.0, 24, 16, 40)
    assert (doubled.stem, doubled.separable, doubled.layers[-1].channels, doubled.head) == (48, 32, 64, 80)


def test_options_travel_through_config_and_manifest(network):
    """And they matter: without one of them the logits are others."""
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype(np.float32))
    logits = network(x).numpy()
    manifest = build_manifest(network, IMAGENET, {}, None, None)
    config = json.loads(json.dumps(manifest))["network"]
    assert {key: config[key] for key in OPTIONS} == {**OPTIONS, "widths": list(OPTIONS["widths"])}
    for changed in ({}, {"padding": "symmetric"}, {"norm_epsilon": 1e-5}):
        again = network_from_config(config | changed)
        again.build((1, 32, 32, 3))
        again.set_weights(network.get_weights())
        assert (np.abs(again(x) - logits).max() > 1e-2) == bool(changed)
    old = {key: value for key, value in config.items() if key not in OPTIONS or key == "widths"}  # before the options
    defaults = {"stem_width": 32, "separable_width": 16, "head_width": 1280, "padding": "symmetric"}
    assert network_from_config(old).get_config() == config | defaults | {"norm_epsilon": 1e-5}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_portable_files_pad_alike(kind, network, tmp_path):
    parity = export_portable(network, tmp_path, [kind])
    assert parity[kind] < 1e-4
    x = np.random.default_rng(1).normal(size=(1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(RUNNERS[kind](tmp_path / FILES[kind])(x), network(x), atol=1e-4)


@pytest.mark.slow
def test_saved_models_pad_alike_at_any_size(network, tmp_path):
    loaded = tf.saved_model.load(str(dm.export_backbone(network, tmp_path / "out")))
    for size in (32, 45):  # odd sizes are padded by other amounts
        x = tf.constant(np.random.default_rng(2).normal(size=(1, size, size, 3)).astype(np.float32))
        np.testing.assert_allclose(loaded.classify(x), network(x), atol=1e-4)


def test_a_training_config_builds_such_a_network():
    section = [f"mobile.{key}={list(v) if isinstance(v, tuple) else v}" for key, v in OPTIONS.items()]
    depths = f"mobile.depths={list(GENOTYPE.depths)}"
    config = load_config(TrainConfig, overrides=[*section, depths, "stem=imagenet", "auxiliary_weight=0"])
    made = build_configured(config, GENOTYPE, 3).get_config()
    assert {key: made[key] for key in OPTIONS} == {**OPTIONS, "widths": list(OPTIONS["widths"])}
    with pytest.raises(UsageError, match="genotype's own"):
        dm.build_network(GENOTYPE, depths=(1,) * 6)


def search_config(*overrides) -> SearchConfig:
    small = ["space=mobilenet", "channels=32", "data.image_size=32", "data.train_limit=64", "data.test_limit=32"]
    return load_config(SearchConfig, overrides=[*small, *overrides])


def test_a_search_config_builds_such_a_supernet(tmp_path):
    depths = "mobile.depths=[1,2,1,1,1,1]"
    section = [f"mobile.{key}={list(v) if isinstance(v, tuple) else v}" for key, v in OPTIONS.items()]
    config = search_config(depths, *section)
    assert config.layers == 7  # the sum of the depths, unless it is given
    (tmp_path / "config.yaml").write_text(dump_config(config))
    assert load_config(SearchConfig, [str(tmp_path / "config.yaml")]) == config
    net = build_search(config, ImageData(config.data, 0)).supernet
    assert net.genotype().depths == (1, 2, 1, 1, 1, 1)
    for alpha in net.alphas.values():
        alpha.assign(1e3 * tf.one_hot(tf.range(alpha.shape[0]), alpha.shape[1]))
    derived = dm.build_network(net.genotype(), num_classes=net.num_classes, **OPTIONS)
    derived.build((1, 32, 32, 3))
    expected = float(net.expected_multiply_adds())
    np.testing.assert_allclose(expected, dm.count(derived)["multiply_adds"], rtol=1e-6)
    assert net.plan == plan_network((1, 2, 1, 1, 1, 1), SIZES["widths"], 1.0, 24, 8, 40)
    conventions = {layer.convention for layer in net.layers_searched}
    assert conventions == {Convention("same", 1e-3)} and net.stem.conv.conv.padding == "same"
    assert {net.stem.conv.norm.epsilon, net.stem.project.norm.epsilon, net.head.conv.norm.epsilon} == {1e-3}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (("mobile.padding=valid",), "mobile.padding"),
        (("mobile.norm_epsilon=0",), "mobile.norm_epsilon"),
        (("mobile.depths=[1,2,3]",), "mobile.depths"),
        (("mobile.depths=[1,0,1,1,1,1]",), "mobile.depths"),
        (("mobile.depths=[1,1,1,1,1,1]", "layers=7"), "layers must be 6"),
        (("mobile.widths=[8,8,8,8,8,-8]",), "mobile.widths"),
        (("mobile.stem_width=0",), "mobile.stem_width"),
        (("mobile.dropout=0.1",), "mobile.dropout"),
        (("space=s0", "channels=16", "mobile.padding=same"), "another space"),
    ],
)
def test_wrong_sections_of_a_search_give_one_line(override, message):
    with pytest.raises(UsageError, match=message) as error:
        search_config(*override)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "valid"},
        {"norm_epsilon": 0},
        {"norm_epsilon": 2},
        {"norm_epsilon": "small"},
        {"stem_width": 0},
        {"separable_width": 8.5},
        {"head_width": True},
        {"widths": (8, 8, 8, 8, 8, 0)},
    ],
)
def test_wrong_options_give_one_line(options):
    for build in (lambda: dm.build_network(GENOTYPE, **options), lambda: dm.build_supernet("mobilenet", **options)):
        with pytest.raises(UsageError, match=next(iter(options))) as error:
            build()
        assert "Received" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UsageError, match="no such option"):
        dm.build_supernet("s0", padding="same")
    with pytest.raises(UsageError, match="sum of depths"):
        dm.build_supernet("mobilenet", layers=7, depths=(1,) * 6)


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_a_mixed_layer_of_one_candidate_is_the_derived_networks_block(padding):
    """Inference with statistics of its own: the supernet pads and normalises as the network that comes of it."""
    plan = LayerPlan(4, 8, 2, 0, True)
    options = {"padding": padding, "norm_epsilon": 1e-2}
    layer = MobileLayer(plan, convention=Convention(*options.values()))
    layer.build()
    block = InvertedResidual(plan, 5, 3, convention=Convention(*options.values()))
    block.build((None, None, None, 4))
    x, part = tf.random.normal([2, 8, 8, 4]), slice(0, 12)
    for variable in (layer.middle_variance, layer.output_variance):
        variable.assign(tf.random.uniform(variable.shape, 0.01, 0.02))
    block.expand.conv.kernel.assign(layer.expand[1][None, None, :, part])
    block.depthwise.conv.kernel.assign(tf.convert_to_tensor(layer.depthwise[1])[:, :, part])
    block.project.conv.kernel.assign(layer.project[0][1][None, None])
    block.expand.norm.moving_variance.assign(layer.middle_variance[2][part])
    block.depthwise.norm.moving_variance.assign(layer.middle_variance[3][part])
    block.project.norm.moving_variance.assign(layer.output_variance[2])
    np.testing.assert_allclose(layer(x, tf.one_hot(2, 6), tf.constant(0.0)), block(x), rtol=1e-4, atol=1e-5)


def randomised(alpha: float, size: int) -> keras.Model:
    """Keras' MobileNetV2 with random weights and statistics that keep its activations in range."""
    model = keras.applications.MobileNetV2((size, size, 3), alpha, weights=None, classifier_activation=None)
    rng = np.random.default_rng(0)
    ranges = {"gamma": (0.5, 1.5), "beta": (-0.5, 0.5), "moving_mean": (-0.3, 0.3), "moving_variance": (0.2, 1.0)}
    for variable in (v for layer in model.layers for v in layer.variables):
        if variable.name in ranges:
            variable.assign(rng.uniform(*ranges[variable.name], size=variable.shape))
    return model


def multiply_adds(model: keras.Model) -> int:
    """Of a Keras model: for each layer, its kernel's numbers times the pixels that it is laid on."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            total += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("alpha", "size"),
    [(0.35, 160), *[pytest.param(a, s, marks=slow) for a in (0.5, 1.0, 1.4) for s in (160, 224)]]
    + [pytest.param(0.35, 224, marks=slow), pytest.param(1.0, 161, marks=slow), pytest.param(1.3, 96, marks=slow)],
)
def test_keras_mobilenet_v2_and_ours_agree(alpha, size, monkeypatch):
    """Logits of random weights and statistics within 1e-4 after the transfer; parameters and multiply-adds exact."""
    reference = randomised(alpha, size)
    monkeypatch.setattr(keras.applications, "MobileNetV2", lambda *_, **__: reference)  # instead of fetching one
    model = dm.from_preset(f"mobilenet_v2_{alpha}_imagenet", image_size=size)
    x = np.random.default_rng(1).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    expected = reference(x).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(model(x), expected, atol=1e-4)
    trainable = sum(int(np.prod(v.shape)) for v in reference.trainable_variables)
    counted = {"parameters": trainable, "multiply_adds": multiply_adds(reference)}
    assert dm.count(model) == counted
    preset = known_presets()[f"mobilenet_v2_{alpha}_imagenet"]
    assert preset.parameters == trainable and (size != 224 or preset.multiply_adds == counted["multiply_adds"])
