"""AutoAugment (Cubuk et al., CVPR 2019) and RandAugment (Cubuk et al., NeurIPS 2020), image by image, stateless.

The image operations are Keras' and TensorFlow's, with the magnitudes of the papers: `tf.switch_case` runs only the one
that was drawn, where `keras.layers.RandAugment` computes all of its operations and draws one for the whole batch.
"""

import functools
import math

import keras
import tensorflow as tf

from dartsminus_tf.data.color import adjust_brightness, adjust_contrast, adjust_saturation

GREY = 128.0  # fills what shears, translations and rotations leave empty
MAX_LEVEL = 10.0

# AutoAugment's policy for ImageNet, table 9 of the paper: (operation, probability, level 0..10), twice a sub-policy.
AUTOAUGMENT = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)


def _warp(image: tf.Tensor, matrix: list) -> tf.Tensor:
    """`image` [H, W, 3] sampled, for the output pixel (x, y), at (a x + b y + c, d x + e y + f); `matrix` [a .. f]."""
    transform = tf.stack([tf.cast(value, tf.float32) for value in (*matrix, 0.0, 0.0)])
    return keras.ops.image.affine_transform(image, transform, fill_mode="constant", fill_value=GREY)


def _rotate(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    angle = degrees * math.pi / 180.0
    cos, sin = tf.cos(angle), tf.sin(angle)
    y, x = ((tf.cast(size, tf.float32) - 1.0) / 2.0 for size in (tf.shape(image)[0], tf.shape(image)[1]))
    return _warp(image, [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y])


def _translate(image: tf.Tensor, share: tf.Tensor, axis: int) -> tf.Tensor:
    pixels = share * tf.cast(tf.shape(image)[axis], tf.float32)
    return _warp(image, [1.0, 0.0, pixels if axis == 1 else 0.0, 0.0, 1.0, pixels if axis == 0 else 0.0])


def _posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    step = tf.pow(2.0, 8.0 - bits)
    return tf.floor(image / step) * step


def _sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    layer = _layer("RandomSharpness", factor=1.0)  # its own factor is half of the papers'
    # Keras smooths against a black frame; one of repeated pixels leaves the border as it is.
    padded = tf.pad(image, [[1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    return layer.transform_images(padded[None], {"factor": factor[None] / 2.0})[0, 1:-1, 1:-1]


@functools.cache
def _layer(name: str, **arguments) -> keras.layers.Layer:
    """One of Keras' preprocessing layers on values 0..255."""
    layer = getattr(keras.layers, name)(value_range=(0, 255), dtype="float32", **arguments)
    layer.backend.set_backend("tensorflow")
    return layer


# Operation -> (function of a float image [H, W, 3] in 0..255 and a magnitude; magnitude of a level in 0..1; whether the
# magnitude's sign is drawn).
OPERATIONS = {
    "shear_x": (lambda x, m: _warp(x, [1.0, m, 0.0, 0.0, 1.0, 0.0]), lambda v: 0.3 * v, True),
    "shear_y": (lambda x, m: _warp(x, [1.0, 0.0, 0.0, m, 1.0, 0.0]), lambda v: 0.3 * v, True),
    "translate_x": (lambda x, m: _translate(x, m, 1), lambda v: 150.0 / 331.0 * v, True),
    "translate_y": (lambda x, m: _translate(x, m, 0), lambda v: 150.0 / 331.0 * v, True),
    "rotate": (_rotate, lambda v: 30.0 * v, True),
    "auto_contrast": (lambda x, m: _layer("AutoContrast").transform_images(x[None])[0], lambda v: v, False),
    "invert": (lambda x, m: 255.0 - x, lambda v: v, False),
    "equalize": (lambda x, m: _layer("Equalization").transform_images(x, None), lambda v: v, False),
    "solarize": (lambda x, m: tf.where(x < m, x, 255.0 - x), lambda v: 256.0 * (1.0 - v), False),
    "posterize": (_posterize, lambda v: 8.0 - tf.round(4.0 * v), False),
    "contrast": (lambda x, m: adjust_contrast(x, 1.0 + m), lambda v: 0.9 * v, True),
    "color": (lambda x, m: adjust_saturation(x, 1.0 + m), lambda v: 0.9 * v, True),
    "brightness": (lambda x, m: adjust_brightness(x, 1.0 + m), lambda v: 0.9 * v, True),
    "sharpness": (lambda x, m: _sharpness(x, 1.0 + m), lambda v: 0.9 * v, True),
}
NAMES = tuple(OPERATIONS)


def apply_operation(image: tf.Tensor, index: tf.Tensor, level: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
    """Operation `index` of `NAMES` at `level` (0..10), `sign` 1 or -1, on a float32 image [H, W, 3] in 0..255."""

    def branch(name):
        function, magnitude, signed = OPERATIONS[name]
        value = magnitude(level / MAX_LEVEL)
        result = function(image, value * sign if signed else value)
        return tf.ensure_shape(tf.clip_by_value(tf.round(result), 0.0, 255.0), image.shape)

    return tf.switch_case(index, [functools.partial(branch, name) for name in NAMES])


def autoaugment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One of the 25 sub-policies of `AUTOAUGMENT`, drawn at random, on a uint8 image [H, W, 3]."""
    seeds = tf.unstack(tf.random.split(seed, 3))
    chosen = tf.random.stateless_uniform([], seeds[0], 0, len(AUTOAUGMENT), tf.int32)
    table = [[[NAMES.index(name), probability, level] for name, probability, level in pair] for pair in AUTOAUGMENT]
    operations = tf.gather(tf.constant(table, tf.float32), chosen)
    draws, signs = tf.random.stateless_uniform([2], seeds[1]), _signs(2, seeds[2])
    x = tf.cast(image, tf.float32)
    for i in range(2):
        index, probability, level = tf.unstack(operations[i])
        act = functools.partial(apply_operation, x, tf.cast(index, tf.int32), level, signs[i])
        x = tf.cond(draws[i] < probability, act, lambda x=x: x)
    return tf.cast(x, tf.uint8)


def randaugment(image: tf.Tensor, num_operations: int, level: float, seed: tf.Tensor) -> tf.Tensor:
    """`num_operations` operations of `NAMES`, each drawn at random, at `level` (0..10), on a uint8 image [H, W, 3]."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    indices = tf.random.stateless_uniform([num_operations], seeds[0], 0, len(NAMES), tf.int32)
    signs = _signs(num_operations, seeds[1])
    x = tf.cast(image, tf.float32)
    for i in range(num_operations):
        x = apply_operation(x, indices[i], tf.constant(level, tf.float32), signs[i])
    return tf.cast(x, tf.uint8)


def _signs(count: int, seed: tf.Tensor) -> tf.Tensor:
    """`count` numbers, each 1 or -1."""
    return tf.sign(tf.random.stateless_uniform([count], seed) - 0.5 + 1e-9)
