"""What a data set is to the rest of the package: two splits of images with labels, read once or streamed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.progress import ProgressLine

_LABELS = 4096  # labels that are read together
_MANY = 100_000  # examples from which on progress is printed


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Args:
        num_examples: how many there are.
        stream: () -> tf.data.Dataset of (image, label) in a fixed order; image uint8 [H, W, C] or a JPEG/PNG string.
        known_labels: the labels [N], where they are known without reading an example.
        select: sorted indices -> the stream of these examples alone, where the others need not be read for it.
    """

    num_examples: int
    stream: Callable[[], tf.data.Dataset]
    known_labels: Sequence[int] | None = None
    select: Callable[[np.ndarray], tf.data.Dataset] | None = None

    def limited(self, limit: int | None) -> "Split":
        """The first `limit` examples."""
        if limit is None or limit >= self.num_examples:
            return self
        known = None if self.known_labels is None else self.known_labels[:limit]
        return Split(limit, lambda: self.stream().take(limit), known, self.select)

    def members(self, indices: np.ndarray) -> tf.data.Dataset:
        """The stream of the examples whose numbers are the sorted `indices`."""
        if len(indices) == self.num_examples:
            return self.stream()
        if self.select is not None:
            return self.select(indices)
        member = np.zeros(self.num_examples, bool)
        member[indices] = True
        member = tf.constant(member)
        data = self.stream().enumerate().filter(lambda number, example: member[number])
        return data.map(lambda number, example: example)

    def labels(self) -> np.ndarray:
        """The labels int32 [N]: where they are not known all examples are read once, and no image is decoded."""
        if self.known_labels is not None:
            return np.asarray(self.known_labels, np.int32)
        batches = self.stream().map(lambda image, label: label).batch(_LABELS).as_numpy_iterator()
        if self.num_examples >= _MANY:
            line = ProgressLine(f"reading labels, by {_LABELS:,}", -(-self.num_examples // _LABELS))
            batches = line.over(batches)
        return np.concatenate([*batches]).astype(np.int32)

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

    `validation` is a split of its own, where there is one and the config's `validates_on` is "auto". `left_out` says
    what is wrong with each file that is not among them; `content` what the splits hold, wherever they lie (see
    `foundation.runs.content`): a run that is taken up again must find the same.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)
    validation: Split | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def limited(self, train: int | None, test: int | None) -> "Source":
        """The same with at most so many examples in its splits."""
        validation = None if self.validation is None else self.validation.limited(test)
        return replace(self, train=self.train.limited(train), test=self.test.limited(test), validation=validation)


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
