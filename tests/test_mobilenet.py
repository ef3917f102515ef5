"""The mobile space: its equation against a composition of plain operations, counts against published ones."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.mobilenet.costs import layer_costs, surrounding_cost
from dartsminus_tf.spaces.mobilenet.genotype import BLOCKS, PRIMITIVES, MobileGenotype, block_of, uniform_genotype
from dartsminus_tf.spaces.mobilenet.mixed import MobileLayer
from dartsminus_tf.spaces.mobilenet.plan import DEPTHS, LAYERS, LayerPlan, depths_of, plan_network

MOBILENET_V2 = uniform_genotype("ir_k3_e6", (2, 3, 4, 3, 3, 1))
MOBILENET_V2_WIDTHS = (24, 32, 64, 96, 160, 320)
MIXED = dm.Genotype.from_string("k3e6,skip|k5e3,k7e6,skip|k3e3|k3e6,k5e6|k7e3|k7e6")


def variable_count(layers) -> int:
    return sum(int(np.prod(v.shape)) for layer in layers for v in layer.trainable_variables)


def test_mobilenet_v2_has_the_published_counts():
    model = dm.build_network(MOBILENET_V2, widths=MOBILENET_V2_WIDTHS, num_classes=1000)
    model.build((1, 224, 224, 3))
    counted = dm.count(model)
    reference = keras.applications.MobileNetV2(weights=None)
    assert counted["parameters"] == 3_504_872 == variable_count([reference])
    assert abs(counted["multiply_adds"] / 300.8e6 - 1) < 0.001  # Sandler et al., CVPR 2018: 300M


def test_plan_is_the_papers():
    plan = plan_network()
    assert len(plan.layers) == LAYERS == 19 and sum(not layer.has_skip for layer in plan.layers) == 6
    assert [layer.channels for layer in plan.layers if layer.opens] == [32, 40, 80, 96, 192, 320]
    assert depths_of(19) == DEPTHS and depths_of(6) == (1,) * 6 and sum(depths_of(11)) == 11
    small = plan_network(multiplier=0.25)  # 96 and 80 are both rounded to 24: the layer still opens its stage
    assert sum(not layer.has_skip for layer in small.layers) == 6 and small.head == 1280
    with pytest.raises(UsageError, match="6..19"):
        depths_of(20)


def test_genotype_forms():
    assert dm.Genotype.from_json(MIXED.to_json()) == MIXED == dm.Genotype.from_string(str(MIXED))
    assert MIXED.depths == (2, 3, 1, 2, 1, 1) and MIXED.count("skip_connect") == {"layers": 2}
    assert json.loads(MIXED.to_json())["stages"][0] == ["ir_k3_e6", "skip_connect"]
    assert MIXED.share("skip_connect") == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k3e6|k3e6", "six|6 stages"),
        ("skip,k3e6|k3e6|k3e6|k3e6|k3e6|k3e6", "begin with a skip"),
        ("k9e6,k3e6|k3e6|k3e6|k3e6|k3e6|k3e6", "lacks"),
        ("k3e6,|k3e6|k3e6|k3e6|k3e6|k3e6", "lacks"),
        ('{"stages": [["ir_k3_e6"]]}', "6 stages"),
        ('{"stages": [[], [], [], [], [], []]}', "1 to 100"),
        ('{"stages": 5}', "6 stages"),
    ],
)
def test_bad_genotypes_give_one_line(text, message):
    read = dm.Genotype.from_json if text.startswith("{") else dm.Genotype.from_string
    with pytest.raises(UsageError, match=message) as error:
        read(text)
    assert "Received" in str(error.value) and "\n" not in str(error.value)


def test_costs_of_candidates_are_counts_of_networks():
    """Each candidate's cost, by the difference that it makes to the count of a derived network."""
    size, classes = 64, 7
    plan = plan_network(depths_of(8), multiplier=0.5)
    costs, around = layer_costs(plan, (size, size)), surrounding_cost(plan, (size, size), classes)
    rng = np.random.default_rng(0)
    for _ in range(3):
        chosen = [int(rng.integers(len(costs[i]))) for i in range(len(plan.layers))]
        names = iter(PRIMITIVES[k] for k in chosen)
        genotype = MobileGenotype(tuple(tuple(next(names) for _ in range(d)) for d in depths_of(8)))
        model = dm.build_network(genotype, num_classes=classes, width_multiplier=0.5)
        model.build((1, size, size, 3))
        expected = around + sum(costs[i][k] for i, k in enumerate(chosen))
        assert dm.count(model)["multiply_adds"] == expected


def plain_norm(x, scale):
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return scale * (x - mean) / tf.sqrt(variance + 1e-5)


def plain_layer(layer: MobileLayer, x, weights, beta):
    """The equation of `mixed`, one candidate after the other, from the layer's kernels."""
    width, total = layer.plan.in_channels, 0.0
    for k, name in enumerate(BLOCKS):
        kernel, expansion = block_of(name)
        group = (3, 5, 7).index(kernel)
        part = slice(0, 3 * width) if expansion == 3 else slice(3 * width, 9 * width)
        y = tf.einsum("nhwc,cd->nhwd", x, layer.expand[group][:, part])
        y = tf.nn.relu6(plain_norm(y, 1.0))
        pad = kernel // 2
        y = tf.pad(y, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        depthwise = tf.convert_to_tensor(layer.depthwise[group])[:, :, part]
        y = tf.nn.depthwise_conv2d(y, depthwise, [1, layer.plan.stride, layer.plan.stride, 1], "VALID")
        y = tf.nn.relu6(plain_norm(y, 1.0))
        y = plain_norm(tf.einsum("nhwc,cd->nhwd", y, layer.project[expansion // 6][group]), weights[k])
        total += y + (weights[k] * x if layer.plan.has_skip else 0.0)
    return total + (weights[6] * x + beta * x if layer.plan.has_skip else 0.0)


@pytest.mark.parametrize("plan", [LayerPlan(4, 4, 1, 0, False), LayerPlan(4, 6, 2, 0, True)], ids=["keep", "change"])
def test_mixed_operation_is_the_papers_equation(plan):
    layer = MobileLayer(plan)
    layer.build()
    x = tf.random.normal([3, 8, 8, 4])
    alpha, beta = tf.random.normal([7 if plan.has_skip else 6]), tf.constant(0.7)
    values = [v.value for v in layer.trainable_variables]
    results = []
    for compute in (
        lambda w: layer(x, w, beta, training=True),
        lambda w: plain_layer(layer, x, w, beta),
    ):
        with tf.GradientTape() as tape:
            tape.watch([alpha, x])
            y = compute(tf.nn.softmax(alpha))
            loss = tf.reduce_sum(y * tf.sin(y))
        results.append([y, *tape.gradient(loss, [alpha, x, *values])])
    for ours, plain in zip(*results, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=2e-3, atol=2e-4)


def test_beta_and_skip_exist_only_where_an_identity_does():
    layer = MobileLayer(LayerPlan(4, 6, 1, 0, True))
    layer.build()
    x, weights = tf.random.normal([2, 8, 8, 4]), tf.fill([6], 1 / 6)
    none, five = tf.constant(0.0), tf.constant(5.0)
    np.testing.assert_array_equal(layer(x, weights, none), layer(x, weights, five))
    keep = MobileLayer(LayerPlan(4, 4, 1, 0, False))
    keep.build()
    weights = tf.fill([7], 1 / 7)
    np.testing.assert_allclose(keep(x, weights, five) - keep(x, weights, none), 5 * x, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def supernets():
    """A small supernet without and with rematerialisation, of the same variables."""
    nets = [dm.build_supernet("mobilenet", 8, 7, 5, rematerialize=remat) for remat in (False, True)]
    for net in nets:
        net.build((4, 32, 32, 3))
    nets[1].set_weights(nets[0].get_weights())
    return nets


def test_supernet_shapes_names_and_genotype(supernets):
    net = supernets[0]
    assert {kind: tuple(a.shape) for kind, a in net.alphas.items()} == {"change": (6, 6), "keep": (1, 7)}
    assert net(tf.zeros([2, 32, 32, 3])).shape == (2, 5) and float(net.beta) == 1.0
    net.alphas["change"].assign(tf.one_hot([0, 1, 2, 3, 4, 5], 6))
    net.alphas["keep"].assign(tf.one_hot([6], 7))
    deep = depths_of(7).index(2)
    stages = [list(stage) for stage in net.genotype().stages]
    assert stages[deep][1] == "skip_connect" and [stage[0] for stage in stages] == list(BLOCKS)
    count = len(net.weight_variables) + len(net.alpha_variables)
    assert count == len(net.trainable_variables) == len({id(v) for v in net.trainable_variables})


def test_expected_multiply_adds_of_a_sure_choice_is_the_count(supernets):
    net = supernets[1]
    for alpha in net.alphas.values():
        alpha.assign(1e3 * tf.one_hot(tf.random.uniform([alpha.shape[0]], 0, 6, tf.int32, seed=3), alpha.shape[1]))
    model = dm.build_network(net.genotype(), num_classes=5, width_multiplier=0.25)
    model.build((1, 32, 32, 3))
    np.testing.assert_allclose(float(net.expected_multiply_adds()), dm.count(model)["multiply_adds"], rtol=1e-6)


def test_supernet_options_of_other_methods_are_refused():
    for options in ({"partial_channels": 2}, {"edge_normalization": True}, {"auxiliary": "conv1"}):
        with pytest.raises(UsageError, match="mobilenet"):
            dm.build_supernet("mobilenet", 8, 6, 5, **options)


@pytest.fixture(scope="module")
def network():
    model = dm.build_network(
        MIXED, num_classes=5, width_multiplier=0.25, squeeze_excitation=True, activation="swish", drop_path=0.2
    )
    model(tf.random.normal([2, 64, 64, 3]), training=True)
    return model


def test_features_have_strides_4_to_32(network):
    features = network.features(tf.zeros([1, 64, 96, 3]))
    for level, about in network.levels.items():
        stride = about["stride"]
        assert stride == 2 ** int(level) and features[level].shape == (1, 64 // stride, 96 // stride, about["channels"])
    assert list(network.levels) == ["2", "3", "4", "5"]


def test_network_survives_its_config(network):
    again = type(network).from_config(network.get_config())
    again.build((1, 64, 64, 3))
    again.set_weights(network.get_weights())
    x = tf.random.normal([2, 64, 64, 3])
    np.testing.assert_array_equal(network(x), again(x))


def test_squeeze_excitation_adds_its_parameters(network):
    plain = dm.build_network(MIXED, num_classes=5, width_multiplier=0.25, activation="swish")
    plain.build((1, 64, 64, 3))
    added = 0
    for name, layer in zip(MIXED.operations["layers"], plain.plan.layers, strict=True):
        if name != "skip_connect":
            middle, squeezed = layer.in_channels * block_of(name)[1], layer.in_channels // 4
            added += 2 * middle * squeezed + middle + squeezed
    assert dm.count(network)["parameters"] == dm.count(plain)["parameters"] + added


def test_wrong_network_options_give_one_line():
    for options, message in [
        ({"activation": "tanh"}, "activation"),
        ({"stem": "cifar"}, "stem"),
        ({"auxiliary": True}, "auxiliary"),
        ({"layers": 3}, "genotype's own"),
        ({"widths": (8, 8)}, "widths"),
        ({"width_multiplier": 0}, "width_multiplier"),
        ({"depth": 3}, "no such option"),
        ({"dropout": 1.0}, "dropout"),
    ]:
        with pytest.raises(UsageError, match=message):
            dm.build_network(MIXED, **options)


def test_export_of_a_mobile_network(network, tmp_path):
    path = dm.export_backbone(network, tmp_path / "backbone")
    loaded = tf.saved_model.load(str(path))
    x = tf.random.normal([1, 64, 64, 3])
    for level, value in network.features(x).items():
        np.testing.assert_allclose(loaded.serve(x)[level], value, atol=1e-5)
    np.testing.assert_allclose(loaded.classify(x), network(x), atol=1e-5)
    manifest = json.loads((path / "manifest.json").read_text())
    assert (
        manifest["space"] == manifest["family"] == "mobilenet" and dm.Genotype.from_dict(manifest["genotype"]) == MIXED
    )
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(y) for y in loaded.train(x).values()])
    assert all(g is not None for g in tape.gradient(loss, list(loaded.backbone_trainable)))
