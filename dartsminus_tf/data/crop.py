"""ImageNet's crops, image by image. Of a JPEG only the window is decoded, and only as finely as it will be shown.

Training: a random window of the image (Szegedy et al., CVPR 2015). Evaluation: the centre of the image. Both are
resized to a square by bilinear interpolation.
"""

import tensorflow as tf

from dartsminus_tf.data.source import decode

RATIOS = (3 / 4, 4 / 3)


def random_resized_crop(encoded: tf.Tensor, size: int, smallest: float, seed: tf.Tensor) -> tf.Tensor:
    """Cut a random window (area `smallest`..1, aspect 3/4..4/3) and resize it to uint8 [size, size, 3].

    `encoded` is a JPEG, PNG, GIF or BMP string, or uint8 [H, W, 3].
    """

    def window(shape):
        begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
            shape,
            bounding_boxes=tf.zeros([1, 0, 4]),
            seed=seed,
            aspect_ratio_range=RATIOS,
            area_range=(smallest, 1.0),
            use_image_if_no_bounding_boxes=True,
        )
        return tf.concat([begin[:2], extent[:2]], axis=0)

    return _to_square(_cut(encoded, window), size)


def center_crop(encoded: tf.Tensor, size: int, share: float) -> tf.Tensor:
    """Cut the square in the centre whose side is `share` of the shorter side, resized to uint8 [size, size, 3].

    224 pixels of an image whose shorter side was resized to 256 are a share of 0.875. `encoded` as above.
    """

    def window(shape):
        side = tf.cast(tf.round(share * tf.cast(tf.minimum(shape[0], shape[1]), tf.float32)), tf.int32)
        return tf.stack([(shape[0] - side) // 2, (shape[1] - side) // 2, side, side])

    return _to_square(_cut(encoded, window), size)


def _cut(encoded: tf.Tensor, window) -> tf.Tensor:
    """The part [H', W', 3] of an image that `window`(shape) -> [top, left, height, width] names."""
    if encoded.dtype != tf.string:
        return _cut_pixels(decode(encoded), window)
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.image.decode_and_crop_jpeg(encoded, window(tf.io.extract_jpeg_shape(encoded)), channels=3),
        lambda: _cut_pixels(decode(encoded), window),
    )


def _cut_pixels(image: tf.Tensor, window) -> tf.Tensor:
    top, left, height, width = tf.unstack(window(tf.shape(image)))
    return image[top : top + height, left : left + width]


def _to_square(image: tf.Tensor, size: int) -> tf.Tensor:
    # Bilinear weights are positive and sum to one, so nothing leaves 0..255.
    return tf.cast(tf.image.resize(image, [size, size]) + 0.5, tf.uint8)
