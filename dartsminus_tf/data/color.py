"""Brightness, contrast and saturation of float images [..., H, W, 3]: blends with black, the mean grey, the grey image.

A factor of 0 gives the other image, 1 leaves all as it is, more goes beyond. Results are not clipped.
"""

import tensorflow as tf


def adjust_brightness(x: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with black."""
    return x * factor


def adjust_contrast(x: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with the mean of the grey image."""
    mean = tf.reduce_mean(tf.image.rgb_to_grayscale(x), axis=[-3, -2], keepdims=True)
    return mean + (x - mean) * factor


def adjust_saturation(x: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with the grey image."""
    grey = tf.image.rgb_to_grayscale(x)
    return grey + (x - grey) * factor
