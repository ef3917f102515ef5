"""tf.data pipelines whose batches are a pure function of (seed, step): a resumed run sees what it would have seen.

Sets that fit are decoded once and kept in memory: a batch is then a gather at shuffled indices and a vectorised
augmentation. Larger sets are streamed, shuffled in a buffer that is seeded by the epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from dartsminus_tf.config import DataConfig
from dartsminus_tf.config.data import BEFORE
from dartsminus_tf.data import augment, policies
from dartsminus_tf.data.crop import center_crop, random_resized_crop
from dartsminus_tf.data.halves import split_indices
from dartsminus_tf.data.labels import AUTO_SHARE, balanced, stratified
from dartsminus_tf.data.source import Source, Split, decode, resize
from dartsminus_tf.data.sources import load_source
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.content import described

SHUFFLE_BUFFER = 10_000
MEMORY_LIMIT = 2 * 2**30  # bytes of decoded images that "auto" keeps in memory
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STEPS_FOREVER = 2**40


@dataclass(frozen=True)
class Batches:
    """Training batches.

    Args:
        steps_per_epoch: whole batches in the set; the rest is left to the next epoch's shuffle.
        from_step: first step -> endless tf.data.Dataset of (images float32 [B, S, S, 3], labels int32 [B]); with
            mixup the labels are float32 [B, classes].
    """

    steps_per_epoch: int
    from_step: Callable[[int], tf.data.Dataset]


class ImageData:
    """The pipelines of one data set under one config.

    Attributes:
        source: the data set.
        train_indices, validation_indices: numbers of the training split's examples that train, and that validate.
        mean, std: what images are normalised with, for pixels divided by 255.
    """

    def __init__(self, config: DataConfig, seed: int):
        self.config, self.seed = config, seed
        self.source: Source = load_source(config)
        self._train_arrays = None
        if keeps_train_arrays(self.source.train, config):
            self._train_arrays = self.source.train.arrays(config.image_size)
        self.train_indices, self.validation_indices = self._divided()
        self.mean, self.std = self._statistics()

    def _divided(self) -> tuple[np.ndarray, np.ndarray]:
        wanted = self.config.validates_on
        if wanted in ("none", BEFORE) or (wanted == "auto" and self.source.validation is not None):
            return np.arange(self.source.train.num_examples), np.arange(0)
        return stratified(self._train_labels, AUTO_SHARE if wanted == "auto" else wanted)

    @cached_property
    def _train_labels(self) -> np.ndarray:
        """Labels int [N] of the training split; a set that is streamed may have to be read once for them."""
        return self.source.train.labels() if self._train_arrays is None else self._train_arrays[1]

    @property
    def content(self) -> dict[str, str]:
        """What a run notes of its data: the content of the splits, and which training examples validate."""
        part = self.validation_indices
        if not len(part):
            return self.source.content
        return self.source.content | {"validation": described(len(part), "training examples", part.tolist())}

    def class_weights(self) -> np.ndarray:
        """The balanced weights of the classes, by the examples that train."""
        return balanced(self._train_labels[self.train_indices], self.source.num_classes)

    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.config.mean is not None:
            return self.config.mean, self.config.std
        if self._train_arrays is None:
            return IMAGENET_MEAN, IMAGENET_STD
        return augment.pixel_statistics(self._train_arrays[0], self.validation_indices)

    def train(self) -> Batches:
        """Augmented batches of the training split, but for the examples that validate."""
        return self._batches(self.train_indices, stream_id=0)

    def halves(self, alpha_fraction: float) -> tuple[Batches, Batches]:
        """Augmented batches for the weights and for alpha, of disjoint parts of the training split."""
        weights, alpha = self.half_indices(alpha_fraction)
        return self._batches(weights, stream_id=1), self._batches(alpha, stream_id=2)

    def half_indices(self, alpha_fraction: float) -> tuple[np.ndarray, np.ndarray]:
        """The examples that train the weights and those that train alpha."""
        return split_indices(self.source.train.num_examples, alpha_fraction, self.seed)

    def test(self) -> tf.data.Dataset:
        """The test split, once, in order, without augmentation; the last batch may be smaller."""
        return self._evaluation(self.source.test, None)

    def validation(self) -> tf.data.Dataset | None:
        """What a training validates on, once, in order, without augmentation; None where nothing validates."""
        if len(self.validation_indices):
            return self._evaluation(self.source.train, self.validation_indices)
        if self.config.validates_on == BEFORE:
            return self.test()
        return self._evaluation(self.source.validation, None) if self.config.validates_on == "auto" else None

    def held_out(self, alpha_fraction: float) -> tf.data.Dataset:
        """The examples that train alpha, once, in order, without augmentation: the search's validation set."""
        return self._evaluation(self.source.train, self.half_indices(alpha_fraction)[1])

    def _evaluation(self, split: Split, indices: np.ndarray | None) -> tf.data.Dataset:
        size, batch_size = self.config.image_size, self.config.batch_size
        if split is self.source.train and self._train_arrays is not None:
            images, labels = (array[indices] for array in self._train_arrays)
            data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)
        else:
            data = split.stream() if indices is None else split.members(indices)
            data = data.map(lambda image, label: (self._evaluated(image), label), tf.data.AUTOTUNE)
            data = data.map(lambda image, label: (tf.ensure_shape(image, [size, size, 3]), label)).batch(batch_size)
            if fits_memory(split.num_examples if indices is None else len(indices), self.config):
                data = data.cache()
        prepare = lambda x, y: (augment.normalise(x, self.mean, self.std), tf.cast(y, tf.int32))  # noqa: E731
        return _finish(data.map(prepare, tf.data.AUTOTUNE))

    def _batches(self, indices: np.ndarray, stream_id: int) -> Batches:
        batch_size = self.config.batch_size
        steps = len(indices) // batch_size
        if steps == 0:
            raise UsageError(f"batch_size must not exceed the {len(indices)} examples. Received: {batch_size}")
        seed = np.random.SeedSequence([self.seed, stream_id]).generate_state(2).astype(np.int64) % 2**31
        make = self._memory_batches if self._train_arrays is not None else self._streamed_batches
        return Batches(steps, make(indices, steps, tf.constant(seed, tf.int32)))

    def _memory_batches(self, indices: np.ndarray, steps: int, seed: tf.Tensor):
        images, labels = self._train_tensors
        members = tf.constant(indices)
        batch_size, config = self.config.batch_size, self.config.augment

        def batch(step):
            epoch, position = step // steps, step % steps
            places = position * batch_size + tf.range(batch_size, dtype=tf.int64)
            order_seed = tf.stack([seed[0], tf.cast(epoch, tf.int32)])
            places = tf.random.experimental.index_shuffle(places, order_seed, tf.constant(len(indices) - 1, tf.int64))
            rows = tf.gather(members, places)
            x = tf.gather(images, rows)
            step_seed = tf.stack([seed[1], tf.cast(step, tf.int32)])
            if config.random_resized_crop is not None or config.policy is not None:
                x = self._augment_each(x, step_seed)
            return self._finish_batch(x, tf.gather(labels, rows), step_seed)

        return lambda first: _finish(tf.data.Dataset.range(first, STEPS_FOREVER).map(batch, tf.data.AUTOTUNE))

    @cached_property
    def _train_tensors(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The training images and labels as tensors: one copy, which all pipelines share."""
        images, labels = self._train_arrays
        return tf.constant(images), tf.constant(labels)

    def _augment_each(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        size = self.config.image_size
        seeds = tf.random.split(seed, tf.shape(images)[0])
        spec = tf.TensorSpec([size, size, 3], tf.uint8)
        x = tf.map_fn(lambda pair: self._augment_image(*pair), (images, seeds), fn_output_signature=spec)
        return tf.ensure_shape(x, [None, size, size, 3])

    def _augment_image(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """What is done to one image before it is part of a batch: a string or pixels -> uint8 [S, S, 3]."""
        config, size = self.config.augment, self.config.image_size
        if config.random_resized_crop is not None:
            image = random_resized_crop(image, size, config.random_resized_crop, seed)
        else:
            image = resize(decode(image), size)
        image = tf.ensure_shape(image, [size, size, 3])
        if config.policy == "autoaugment":
            return policies.autoaugment(image, seed)
        if config.policy == "randaugment":
            return policies.randaugment(image, config.randaugment_operations, config.randaugment_level, seed)
        return image

    def _finish_batch(self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor):
        """What is done to a whole batch: uint8 [B, S, S, 3] and labels [B] -> what the model is fed."""
        config, size = self.config.augment, self.config.image_size
        x = augment.augment_batch(images, config, self.mean, self.std, seed)
        x, y = tf.ensure_shape(x, [self.config.batch_size, size, size, 3]), tf.cast(labels, tf.int32)
        return augment.mixup(x, y, self.source.num_classes, config.mixup, seed) if config.mixup else (x, y)

    def _evaluated(self, image: tf.Tensor) -> tf.Tensor:
        """An image as it is evaluated, uint8 [S, S, 3]."""
        size, share = self.config.image_size, self.config.center_crop
        return resize(decode(image), size) if share is None else center_crop(image, size, share)

    def _streamed_batches(self, indices: np.ndarray, steps: int, seed: tf.Tensor):
        batch_size = self.config.batch_size

        def image_and_label(count, example):
            return self._augment_image(example[0], tf.stack([seed[0], tf.cast(count, tf.int32)])), example[1]

        def finished(step, batch):
            return self._finish_batch(*batch, tf.stack([seed[1], tf.cast(step, tf.int32)]))

        def epoch_examples(epoch):
            tf.random.set_seed(
                1
            )  # of this graph alone; with 0 `shuffle` would compare its own seed, a tensor, in Python
            data = self.source.train.members(indices)
            data = data.shuffle(SHUFFLE_BUFFER, seed=tf.cast(seed[0], tf.int64) + epoch)
            return data.enumerate(epoch * len(indices)).take(steps * batch_size)

        def from_step(first: int) -> tf.data.Dataset:
            # Skipped examples are not decoded, and the parallel maps run on from one epoch into the next.
            epochs = tf.data.Dataset.range(first // steps, STEPS_FOREVER)
            data = epochs.flat_map(epoch_examples).skip(first % steps * batch_size)
            data = data.map(image_and_label, tf.data.AUTOTUNE).batch(batch_size, drop_remainder=True)
            return _finish(data.enumerate(first).map(finished, tf.data.AUTOTUNE))

        return from_step


def _finish(data: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # With several workers each reads all and takes its part of every batch: the batches do not depend on their number.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return data.with_options(options).prefetch(tf.data.AUTOTUNE)


def fits_memory(num_examples: int, config: DataConfig) -> bool:
    """Whether so many decoded images are kept in memory."""
    if config.in_memory != "auto":
        return config.in_memory
    return num_examples * config.image_size**2 * 3 <= MEMORY_LIMIT


def keeps_train_arrays(split: Split, config: DataConfig) -> bool:
    """Whether the training images are kept decoded, resized to the square."""
    cuts = config.augment.random_resized_crop is not None or config.center_crop is not None
    return fits_memory(split.num_examples, config) and not (config.in_memory == "auto" and cuts)
