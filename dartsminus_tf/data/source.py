"""What a data set is to the rest of the package: two splits of images with labels, read once or streamed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Args:
        num_examples: how many there are.
        stream: () -> tf.data.Dataset of (image, label) in a fixed order; image uint8 [H, W, C] or a JPEG/PNG string.
    """

    num_examples: int
    stream: Callable[[], tf.data.Dataset]

    def limited(self, limit: int | None) -> "Split":
        """The first `limit` examples."""
        if limit is None or limit >= self.num_examples:
            return self
        return Split(limit, lambda: self.stream().take(limit))

    def arrays(self, image_size: int) -> tuple[np.ndarray, np.ndarray]:
        """All images resized to uint8 [N, image_size, image_size, 3], and the labels int32 [N]."""
        images = np.empty((self.num_examples, image_size, image_size, 3), np.uint8)
        labels = np.empty(self.num_examples, np.int32)
        decoded = self.stream().map(
            lambda image, label: (resize(decode(image), image_size), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        start = 0
        for image, label in decoded.batch(256).as_numpy_iterator():
            images[start : start + len(label)], labels[start : start + len(label)] = image, label
            start += len(label)
        if start != self.num_examples:
            raise UsageError(f"A split of {self.num_examples} examples gave another number. Received: {start}")
        return images, labels


@dataclass(frozen=True)
class Source:
    """A data set: `train` is split further by the caller; `test` is never trained on.

    `left_out` says what is wrong with each file that is not among them; `content` what the splits hold, wherever they
    lie (see `foundation.runs.content`): a run that is taken up again must find the same.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def limited(self, train: int | None, test: int | None) -> "Source":
        """The same with at most so many examples in its splits."""
        return replace(self, train=self.train.limited(train), test=self.test.limited(test))


def decode(image: tf.Tensor) -> tf.Tensor:
    """A JPEG, PNG, GIF or BMP string, or pixels, as uint8 [H, W, 3]."""
    if image.dtype == tf.string:
        image = tf.io.decode_image(image, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        return image
    return tf.image.grayscale_to_rgb(image) if image.shape[-1] == 1 else image


def resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resize uint8 [H, W, 3] to uint8 [size, size, 3], bilinear, antialiased where it shrinks."""
    if image.shape[0] == image.shape[1] == size:
        return image
    pixels = tf.image.resize(image, [size, size], antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
