"""Operations against hand values and against plain TensorFlow compositions of the same mathematics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops import layers
from dartsminus_tf.ops.norm import BatchNorm
from dartsminus_tf.ops.registry import build_primitive, primitive_names, register

RAMP = tf.reshape(tf.range(16, dtype=tf.float32), [1, 4, 4, 1])


def test_average_pool_does_not_count_the_padding():
    y = fn.avg_pool(RAMP)[0, :, :, 0].numpy()
    assert y[0, 0] == np.mean([0, 1, 4, 5]) and y[1, 1] == 5 and y[0, 1] == np.mean([0, 1, 2, 4, 5, 6])
    np.testing.assert_allclose(fn.avg_pool(RAMP, 2)[0, :, :, 0], y[::2, ::2])


def test_max_pool_of_stride_2_starts_outside_the_image():
    y = fn.max_pool(RAMP - 100.0, 2)[0, :, :, 0].numpy()
    np.testing.assert_array_equal(y, np.array([[5, 7], [13, 15]]) - 100.0)


def test_stride_2_convolution_pads_on_both_sides():
    y = fn.conv2d(RAMP, tf.ones([3, 3, 1, 1]), 2)[0, :, :, 0].numpy()
    np.testing.assert_array_equal(y, [[0 + 1 + 4 + 5, 1 + 2 + 3 + 5 + 6 + 7], [4 + 5 + 8 + 9 + 12 + 13, 90]])


def test_factorized_reduce_reads_even_and_odd_pixels():
    kernels = tf.reshape(tf.constant([1.0, 10.0]), [2, 1, 1])
    y = fn.factorized_reduce(RAMP, kernels)[0].numpy()
    np.testing.assert_array_equal(y[:, :, 0], [[0, 2], [8, 10]])
    np.testing.assert_array_equal(y[:, :, 1], [[50, 70], [130, 150]])
    with pytest.raises(UsageError, match="even height"):
        fn.factorized_reduce(tf.zeros([1, 3, 4, 1]), kernels)


@pytest.mark.parametrize("size", [3, 5])
def test_dilated_depthwise_in_every_form(size):
    x, kernel = tf.random.normal([2, 8, 8, 3]), tf.random.normal([size, size, 3, 1])
    padded = fn.pad_symmetric(x, 2 * (size // 2))
    expected = np.zeros((2, 8, 8, 3), np.float32)
    for i in range(size):
        for j in range(size):
            expected += padded[:, 2 * i : 2 * i + 8, 2 * j : 2 * j + 8] * kernel[i, j, :, 0]
    np.testing.assert_allclose(fn.depthwise_conv(x, kernel, 1, 2), expected, atol=1e-4)
    np.testing.assert_allclose(fn.depthwise_conv(x, kernel, 2, 2), expected[:, ::2, ::2], atol=1e-4)
    phases = fn.from_phases(fn.depthwise_conv(fn.to_phases(x), kernel))
    np.testing.assert_allclose(phases, expected, atol=1e-4)


def test_drop_path_drops_samples_and_keeps_the_mean():
    y = fn.drop_path(tf.ones([4000, 1, 1, 2]), tf.constant(0.25)).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert (y[..., 0] == y[..., 1]).all() and abs(y.mean() - 1) < 0.05
    np.testing.assert_array_equal(fn.drop_path(tf.ones([8, 1, 1, 1]), tf.constant(0.0)), np.ones((8, 1, 1, 1)))


def test_batch_norm_equals_keras():
    x = tf.random.normal([4, 5, 6, 3], 2.0, 3.0)
    ours, theirs = BatchNorm(), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-4)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, atol=1e-5)
    count = 4 * 5 * 6
    unbiased = 1 + 0.1 * (np.var(x, axis=(0, 1, 2)) * count / (count - 1) - 1)
    np.testing.assert_allclose(ours.moving_variance, unbiased, rtol=1e-4)
    before = ours.moving_mean.numpy()
    ours.trainable = False
    y = ours(x, training=True)
    np.testing.assert_array_equal(ours.moving_mean, before)
    np.testing.assert_allclose(y, (x - before) / np.sqrt(ours.moving_variance.numpy() + 1e-5), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", primitive_names())
def test_primitive_shapes_and_round_trip(name, stride):
    x = tf.random.normal([2, 8, 8, 4])
    layer = build_primitive(name, 4, stride)
    y = layer(x, training=True)
    assert y.shape == (2, 8 // stride, 8 // stride, 4)
    copy = type(layer).from_config(layer.get_config())
    copy.build(x.shape)
    copy.set_weights(layer.get_weights())
    if name != "noise":
        np.testing.assert_allclose(copy(x), layer(x), atol=1e-6)


def test_none_is_zero_and_noise_is_fresh():
    x = tf.ones([64, 8, 8, 4])
    assert not np.any(build_primitive("none", 4, 2)(x))
    noise = layers.Noise()
    first, second = noise(x).numpy(), noise(x, training=False).numpy()
    assert np.any(first != second) and abs(first.mean()) < 0.05 and abs(first.std() - 1) < 0.05


def test_initial_values_are_pytorchs():
    conv = layers.Conv(64, 3)
    conv.build((None, 8, 8, 16))
    values = conv.kernel.numpy()
    bound = 1 / np.sqrt(3 * 3 * 16)
    assert np.abs(values).max() <= bound and abs(values.std() - bound / np.sqrt(3)) < 0.02 * bound


def test_registering_a_primitive():
    with pytest.raises(UsageError, match="registered already"):
        register("none", lambda channels, stride, affine: layers.Identity())
    with pytest.raises(UsageError, match="Unknown primitive"):
        build_primitive("conv_9x9", 4)
