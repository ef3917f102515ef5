"""Augmentation of whole batches with stateless random numbers: the result depends on `seed` [2] alone.

Crop, flip and cutout are those of the CIFAR recipes; colour jitter and mixup are used on ImageNet. What is done image
by image is in `crop` and `policies`.
"""

import numpy as np
import tensorflow as tf

from dartsminus_tf.config import AugmentConfig
from dartsminus_tf.data.color import adjust_brightness, adjust_contrast, adjust_saturation


def normalise(images: tf.Tensor, mean, std) -> tf.Tensor:
    """uint8 or float [N, H, W, 3] in 0..255 -> float32 `(x / 255 - mean) / std`."""
    scale = 1.0 / (255.0 * np.asarray(std))
    offset = np.asarray(mean) / np.asarray(std)
    return tf.cast(images, tf.float32) * tf.constant(scale, tf.float32) - tf.constant(offset, tf.float32)


def pixel_statistics(images: np.ndarray, without: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 [N, H, W, 3] divided by 255, but for some of the images.

    Sums of squares of integers are exact in float64, and a histogram needs no copy of the images.
    """
    levels = np.arange(256) / 255.0
    counts = _histograms(images) - _histograms(images[without])
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 1e-8))
    return tuple(round(float(m), 6) for m in mean), tuple(round(float(s), 6) for s in std)


def _histograms(images: np.ndarray) -> np.ndarray:
    """How many pixels have each value in each channel, [3, 256]."""
    return np.stack([np.bincount(images[..., c].reshape(-1), minlength=256) for c in range(3)])


def random_crop(images: tf.Tensor, padding: int, seed: tf.Tensor) -> tf.Tensor:
    """Pad [N, H, W, C] by `padding` zeros on every side, and cut a window of the old size at random from each."""
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    offsets = tf.random.stateless_uniform([2, count], seed, 0, 2 * padding + 1, tf.int32)
    rows = offsets[0][:, None] + tf.range(height)
    columns = offsets[1][:, None] + tf.range(width)
    cropped = tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
    return tf.ensure_shape(cropped, images.shape)


def random_flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirror each image left to right with probability 1/2."""
    flipped = tf.random.stateless_uniform([tf.shape(images)[0]], seed) < 0.5
    # Both are much faster than the obvious `tf.where` and `tf.reverse` of [N, H, W, C], which cost half of a decoding:
    # `Select` copies whole images, and `reverse` has a kernel for [rows, W, 3].
    rows = tf.reverse(tf.reshape(images, [-1, *images.shape[2:]]), [1])
    return tf.raw_ops.Select(condition=flipped, x=tf.reshape(rows, tf.shape(images)), y=images)


def cutout(images: tf.Tensor, length: int, seed: tf.Tensor) -> tf.Tensor:
    """Zero a square of `length` pixels in each of [N, H, W, C], centred anywhere (so it may stick out)."""
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    centres = tf.random.stateless_uniform([2, count], seed)
    first_row = tf.cast(centres[0] * height, tf.int32)[:, None] - length // 2
    first_column = tf.cast(centres[1] * width, tf.int32)[:, None] - length // 2
    rows, columns = tf.range(height)[None], tf.range(width)[None]
    in_rows = (rows >= first_row) & (rows < first_row + length)
    in_columns = (columns >= first_column) & (columns < first_column + length)
    hole = in_rows[:, :, None, None] & in_columns[:, None, :, None]
    return tf.where(hole, tf.zeros([], images.dtype), images)


def color_jitter(images: tf.Tensor, strength, seed: tf.Tensor) -> tf.Tensor:
    """Change brightness, contrast, saturation (factors 1 +- strength) and hue of each uint8 image in [N, H, W, 3]."""
    brightness, contrast, saturation, hue = strength
    count = tf.shape(images)[0]
    factors = tf.random.stateless_uniform([4, count, 1, 1, 1], seed, -1.0, 1.0)
    x = adjust_brightness(tf.cast(images, tf.float32) / 255.0, 1 + brightness * factors[0])
    x = adjust_contrast(x, 1 + contrast * factors[1])
    x = adjust_saturation(x, 1 + saturation * factors[2])
    hsv = tf.image.rgb_to_hsv(tf.clip_by_value(x, 0.0, 1.0))
    turned = tf.math.floormod(hsv[..., :1] + hue * factors[3], 1.0)
    return tf.cast(tf.round(tf.image.hsv_to_rgb(tf.concat([turned, hsv[..., 1:]], axis=-1)) * 255.0), tf.uint8)


def augment_batch(images: tf.Tensor, config: AugmentConfig, mean, std, seed: tf.Tensor) -> tf.Tensor:
    """uint8 [N, H, W, 3] -> augmented, normalised float32. Crops pad with black, cutout's square is the mean colour.

    A crop by `random_resized_crop` and AutoAugment or RandAugment have come before, image by image.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))
    if config.color_jitter is not None:
        images = color_jitter(images, config.color_jitter, seeds[3])
    if config.crop_padding and config.random_resized_crop is None:
        images = random_crop(images, config.crop_padding, seeds[0])
    if config.flip:
        images = random_flip(images, seeds[1])
    x = normalise(images, mean, std)
    return cutout(x, config.cutout, seeds[2]) if config.cutout else x


def mixup(images: tf.Tensor, labels: tf.Tensor, num_classes: int, alpha: float, seed: tf.Tensor):
    """Mixup (Zhang et al., ICLR 2018): blend each image [N, H, W, C] and its label with another one of the batch.

        x <- l * x + (1 - l) * x',   y <- l * onehot(y) + (1 - l) * onehot(y'),   l ~ Beta(alpha, alpha) once a batch

    Returns the images and the labels as float32 [N, num_classes].
    """
    a, b = tf.unstack(tf.random.stateless_gamma([2], seed, alpha))
    share = a / tf.maximum(a + b, 1e-12)
    targets = tf.one_hot(labels, num_classes)
    return tuple(share * x + (1 - share) * tf.reverse(x, [0]) for x in (images, targets))
