"""Weights cut from one mobile network to another: kernels, channels, supernets and what is derived from them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.spaces.mobilenet.arrays import Block, Norm, fitted, moments, resized
from dartsminus_tf.spaces.mobilenet.genotype import PRIMITIVES
from dartsminus_tf.spaces.mobilenet.inherit import derive, inherit, inherit_supernet, read_block

SOURCE = "k5e6,k3e3|k3e6,k7e6|k5e6|k3e6,skip|k7e3|k3e6"
OTHER = "k3e3,skip|k7e6,k5e3|k5e6|k5e3,k3e6|k3e6|k7e3"
SIZES = {"widths": (8, 8, 16, 16, 16, 16), "stem_width": 8, "separable_width": 8, "head_width": 16}
SIZES |= {"padding": "same", "norm_epsilon": 1e-3}


def shake(model: keras.Model, seed: int = 0) -> None:
    """Scales, offsets and statistics of norms at random, so that images make a difference to logits."""
    rng = np.random.default_rng(seed)
    ranges = {"variance": (0.02, 0.1), "mean": (-0.3, 0.3), "gamma": (0.5, 1.5), "scale": (0.5, 1.5)}
    ranges |= {"beta": (-0.3, 1.0), "offset": (-0.3, 1.0)}
    for variable in model.variables:
        for name, (low, high) in ranges.items():
            if variable.name.endswith(name) and len(variable.shape):
                variable.assign(rng.uniform(low, high, variable.shape))


def network(text: str = SOURCE, num_classes: int = 5, **options) -> keras.Model:
    model = dm.build_network(dm.Genotype.from_string(text), num_classes=num_classes, **(SIZES | options))
    model.build((1, 32, 32, 3))
    return model


def supernet(num_classes: int = 5, **options):
    net = dm.build_supernet("mobilenet", depths=(2, 2, 1, 2, 1, 1), num_classes=num_classes, **(SIZES | options))
    net.build((1, 32, 32, 3))
    net.beta.assign(0.0)
    return net


def choose(net, text: str) -> None:
    """Alpha that is sure of a genotype."""
    names = dm.Genotype.from_string(text).operations["layers"]
    for kind, rows in net.rows.items():
        alpha = np.zeros(net.alphas[kind].shape)
        for row, layer in enumerate(rows):
            alpha[row, PRIMITIVES.index(names[layer])] = 50.0
        net.alphas[kind].assign(alpha)


@pytest.fixture(scope="module")
def source():
    keras.utils.set_random_seed(3)
    model = network()
    shake(model)
    return model


@pytest.fixture(scope="module")
def images():
    return tf.random.stateless_normal([4, 32, 32, 3], [1, 2])


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_in_a_larger_one_computes_the_same(padding, stride):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2)).astype(np.float32)
    for size in (1, 2, 7, 8):
        x = tf.random.stateless_normal([2, size, size, 2], [size, 0])
        conv = lambda k, x=x: fn.depthwise_conv(x, k[..., None], stride, padding=padding)  # noqa: E731
        for larger in (5, 7):
            np.testing.assert_allclose(conv(resized(kernel, larger)), conv(kernel), atol=1e-6)
            np.testing.assert_array_equal(resized(resized(kernel, larger), 3), kernel)
    np.testing.assert_array_equal(resized(np.arange(25.0).reshape(5, 5, 1), 3)[..., 0][0], [6, 7, 8])


def test_moments_of_what_leaves_an_activation():
    rng = np.random.default_rng(0)
    norm = Norm(np.array([1.0, -0.5, 2.0]), np.array([0.0, 9.0, 5.0]), np.zeros(3), np.ones(3))
    drawn = relu6(norm.offset[:, None] + norm.scale[:, None] * rng.normal(size=(3, 10**6)))
    mean, deviation = moments(norm, relu6)
    np.testing.assert_allclose(mean, drawn.mean(axis=1), atol=5e-3)
    np.testing.assert_allclose(deviation, drawn.std(axis=1), atol=5e-3)


def made_block(channels: int, kernel: int = 3, seed: int = 0) -> Block:
    """From 2 to 3 channels by way of `channels`."""
    rng = np.random.default_rng(seed)
    norms = tuple(Norm(*rng.uniform(0.5, 1.5, (4, size))) for size in (channels, channels, 3))
    shapes = (2, channels), (kernel, kernel, channels), (channels, 3)
    return Block(*(rng.normal(size=shape) for shape in shapes), norms)


def relu6(x):
    return np.clip(x, 0, 6)


def test_half_of_the_channels_are_those_that_move_the_output():
    """Of a weak channel, one that ReLU6 holds at 6, a middling, a dead and a strong one, the fifth and the third."""
    block = made_block(6)
    rows = np.array([0.1, 9.0, 1.0, 9.0, 2.0, 0.1])[:, None] * np.array([1.0, -1.0, 1.0])
    inner = block.norms[1]._replace(scale=np.ones(6), offset=np.array([1.0, 20.0, 1.0, -20.0, 1.0, 1.0]))
    block = block._replace(project=rows, norms=(block.norms[0], inner, block.norms[2]))
    cut = fitted(block, made_block(2, kernel=5, seed=1), relu6)
    np.testing.assert_array_equal(cut.project, rows[[2, 4]])
    np.testing.assert_array_equal(cut.expand, block.expand[:, [2, 4]])
    np.testing.assert_array_equal(cut.depthwise[1:4, 1:4], block.depthwise[..., [2, 4]])
    for before, after in zip(block.norms[:2], cut.norms[:2], strict=True):
        np.testing.assert_array_equal(after, np.take(before, [2, 4], axis=1))
    np.testing.assert_array_equal(cut.norms[2][:2] + cut.norms[2][3:], block.norms[2][:2] + block.norms[2][3:])
    mean = moments(inner, relu6)[0][0]  # of the two weak ones; the held one adds 6 times its row
    lost = (6 * 9.0 + 2 * 0.1 * mean) * np.array([1.0, -1.0, 1.0])
    np.testing.assert_allclose(cut.norms[2].mean, block.norms[2].mean - lost, rtol=1e-6)


def test_more_channels_leave_the_function_as_it_was(images):
    """The projection of the new ones is zero, all else of them the target's own; with gates too."""
    for squeeze in (False, True):
        source = network("k5e3|k3e6|k5e6|k3e6|k7e3|k3e6", squeeze_excitation=squeeze)
        target = network("k5e6|k5e6|k7e6|k5e6|k7e6|k3e6", squeeze_excitation=squeeze)
        for seed, model in enumerate((source, target)):
            shake(model, seed)
        own = read_block(target.blocks[0])
        taken = inherit(source, target)
        assert taken == (len(source.variables), ())
        np.testing.assert_allclose(target(images), source(images), rtol=1e-4, atol=1e-4)
        now = read_block(target.blocks[0])
        assert not now.project[24:].any() and now.project[:24].any()
        np.testing.assert_array_equal(now.expand[:, 24:], own.expand[:, 24:])


def test_the_supernet_is_the_network_where_alpha_is_sure_of_it(source, images):
    net = supernet(affine=True)
    assert inherit_supernet(source, net) == (len(source.variables), ("layer_6",))
    choose(net, SOURCE)
    np.testing.assert_allclose(net(images), source(images), rtol=1e-4, atol=1e-4)
    assert np.std(source(images), axis=0).min() > 0.05
    for kind in net.alphas:  # what is cut from it is no longer it
        net.alphas[kind].assign(np.zeros(net.alphas[kind].shape))
    assert np.abs(net(images) - source(images)).max() > 1e-2


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("text", [SOURCE, OTHER])
def test_a_derived_network_is_the_supernet_where_alpha_is_sure_of_it(text, affine, images):
    net = supernet(affine=affine)
    shake(net)
    derived = derive(net, dm.Genotype.from_string(text))
    choose(net, text)
    np.testing.assert_allclose(derived(images), net(images), rtol=1e-4, atol=1e-4)
    assert np.std(derived(images), axis=0).min() > 0.05
    assert derived.plan == net.plan and derived.convention == net.convention
    if not affine:
        assert set(np.unique(derived.blocks[0].project.norm.gamma)) == {1.0}


def test_another_genotype_inherits_and_a_skip_gives_nothing(source, images):
    target = network(OTHER, num_classes=7)
    classifier, lost = target.head.classifier, target.blocks[6]
    before = [variable.numpy() for variable in (*classifier.variables, *lost.variables)]
    taken = inherit(source, target)
    assert set(taken.left) == {v.path for v in (*classifier.variables, *lost.variables)}
    assert taken.taken == len(target.variables) - len(taken.left)
    now = [variable.numpy() for variable in (*classifier.variables, *lost.variables)]
    assert all(map(np.array_equal, before, now))
    np.testing.assert_array_equal(read_block(target.blocks[4]).expand, read_block(source.blocks[4]).expand)
    np.testing.assert_array_equal(target.stem.conv.conv.kernel, source.stem.conv.conv.kernel)


def test_others_are_refused_in_one_line(source):
    for options, name in (
        ({"widths": (8, 8, 16, 16, 16, 24)}, "mobile.widths"),
        ({"head_width": 24}, "mobile.head_width"),
        ({"padding": "symmetric"}, "mobile.padding"),
        ({"norm_epsilon": 1e-5}, "mobile.norm_epsilon"),
    ):
        for target, give in (
            (network(OTHER, **options), inherit),
            (supernet(affine=True, **options), inherit_supernet),
        ):
            with pytest.raises(UsageError, match=name):
                give(source, target)
    with pytest.raises(UsageError, match="affine"):
        inherit_supernet(source, supernet())
    with pytest.raises(UsageError, match="activation"):
        inherit(source, network(OTHER, activation="swish"))
    with pytest.raises(UsageError, match="squeeze_excitation must be False"):
        inherit_supernet(network(squeeze_excitation=True), supernet(affine=True))
    with pytest.raises(UsageError, match="depths of the genotype"):
        derive(supernet(), dm.Genotype.from_string("k3e6|k3e6|k3e6|k3e6|k3e6|k3e6"))
