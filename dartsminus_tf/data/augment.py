"""Augmentation of whole batches with stateless random numbers: the result depends on `seed` [2] alone.

Crop, flip and cutout are those of the CIFAR recipes; random-resized crop and colour jitter those of ImageNet.
"""

import tensorflow as tf

from dartsminus_tf.config import AugmentConfig


def normalise(images: tf.Tensor, mean, std) -> tf.Tensor:
    """uint8 or float [N, H, W, 3] in 0..255 -> float32 `(x / 255 - mean) / std`."""
    mean, std = tf.constant(mean, tf.float32), tf.constant(std, tf.float32)
    return (tf.cast(images, tf.float32) / 255.0 - mean) / std


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
    flipped = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed) < 0.5
    return tf.where(flipped, tf.reverse(images, [2]), images)


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


def random_resized_crop(encoded: tf.Tensor, size: int, smallest: float, seed: tf.Tensor) -> tf.Tensor:
    """Cut a random window (area `smallest`..1, aspect 3/4..4/3) and resize it to uint8 [size, size, 3].

    `encoded` is a JPEG string, of which only the window is decoded, or uint8 [H, W, 3].
    """
    shape = tf.io.extract_jpeg_shape(encoded) if encoded.dtype == tf.string else tf.shape(encoded)
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        bounding_boxes=tf.zeros([1, 0, 4]),
        seed=seed,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(smallest, 1.0),
        use_image_if_no_bounding_boxes=True,
    )
    if encoded.dtype == tf.string:
        window = tf.concat([begin[:2], extent[:2]], axis=0)
        image = tf.image.decode_and_crop_jpeg(encoded, window, channels=3)
    else:
        image = tf.slice(encoded, begin, extent)
    pixels = tf.image.resize(image, [size, size])
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)


def color_jitter(images: tf.Tensor, strength, seed: tf.Tensor) -> tf.Tensor:
    """Change brightness, contrast, saturation (factors 1 +- strength) and hue of each uint8 image in [N, H, W, 3]."""
    brightness, contrast, saturation, hue = strength
    count = tf.shape(images)[0]
    factors = tf.random.stateless_uniform([4, count, 1, 1, 1], seed, -1.0, 1.0)
    x = tf.cast(images, tf.float32) / 255.0 * (1 + brightness * factors[0])
    mean = tf.reduce_mean(tf.image.rgb_to_grayscale(x), axis=[1, 2], keepdims=True)
    x = mean + (x - mean) * (1 + contrast * factors[1])
    grey = tf.image.rgb_to_grayscale(x)
    x = grey + (x - grey) * (1 + saturation * factors[2])
    hsv = tf.image.rgb_to_hsv(tf.clip_by_value(x, 0.0, 1.0))
    turned = tf.math.floormod(hsv[..., :1] + hue * factors[3], 1.0)
    return tf.cast(tf.round(tf.image.hsv_to_rgb(tf.concat([turned, hsv[..., 1:]], axis=-1)) * 255.0), tf.uint8)


def augment_batch(images: tf.Tensor, config: AugmentConfig, mean, std, seed: tf.Tensor) -> tf.Tensor:
    """uint8 [N, H, W, 3] -> augmented, normalised float32. Crops pad with black, cutout's square is the mean colour.

    A crop by `random_resized_crop` has been taken before, image by image.
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
