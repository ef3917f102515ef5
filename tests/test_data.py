import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dartsminus_tf.config import AugmentConfig, DataConfig
from dartsminus_tf.data import augment
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.data.source import load_source
from dartsminus_tf.data.splits import split_indices
from dartsminus_tf.errors import UsageError

PLAIN = AugmentConfig(crop_padding=0, flip=False)
DIGITS = {"name": "digits", "image_size": 8, "batch_size": 16}


def take(batches, first, count):
    return [(x.numpy(), y.numpy()) for x, y in batches.from_step(first).take(count)]


def test_digits_are_all_there_and_split_by_class():
    source = load_source(DataConfig(**DIGITS))
    assert (source.train.num_examples, source.test.num_examples, source.num_classes) == (1437, 360, 10)
    images, labels = source.test.arrays(8)
    assert images.shape == (360, 8, 8, 3) and images.max() == 255 and np.bincount(labels).min() >= 34


def test_halves_are_disjoint_seeded_and_complete():
    weights, alpha = split_indices(101, 0.5, seed=3)
    assert sorted([*weights, *alpha]) == list(range(101)) and len(alpha) == 50
    assert np.array_equal(split_indices(101, 0.5, 3)[0], weights) and not np.array_equal(
        split_indices(101, 0.5, 4)[0], weights
    )
    with pytest.raises(UsageError, match="at least one"):
        split_indices(3, 0.01, 0)


@pytest.mark.parametrize("in_memory", [True, False])
def test_halves_give_their_own_images_only(in_memory):
    config = DataConfig(**DIGITS, augment=PLAIN, train_limit=96, in_memory=in_memory, mean=(0, 0, 0), std=(1, 1, 1))
    data = ImageData(config, seed=5)
    images, _ = data.source.train.arrays(8)
    keys = [image.tobytes() for image in images]
    for batches, members in zip(data.halves(0.5), data.half_indices(0.5), strict=True):
        assert batches.steps_per_epoch == 3
        seen = [np.round(x * 255).astype(np.uint8).tobytes() for xs, _ in take(batches, 0, 3) for x in xs]
        assert sorted(seen) == sorted(keys[i] for i in members)


@pytest.mark.parametrize("in_memory", [True, False])
def test_batches_are_a_function_of_the_step(in_memory):
    config = DataConfig(**DIGITS, train_limit=64, in_memory=in_memory, augment=AugmentConfig(crop_padding=1, cutout=2))
    batches = ImageData(config, seed=1).train()
    whole, later = take(batches, 0, 8), take(ImageData(config, seed=1).train(), 3, 5)
    for (x, y), (u, v) in zip(whole[3:], later, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)
    assert not np.array_equal(whole[0][1], whole[4][1])  # another order in the next epoch
    assert not np.array_equal(take(ImageData(config, seed=2).train(), 0, 1)[0][1], whole[0][1])


def test_evaluation_sees_every_example_once():
    data = ImageData(DataConfig(**DIGITS), seed=0)
    labels = np.concatenate([y for _, y in data.test().as_numpy_iterator()])
    assert len(labels) == 360
    held_out = sum(len(y) for _, y in data.held_out(0.5).as_numpy_iterator())
    assert held_out == len(data.half_indices(0.5)[1])


def test_measured_statistics_normalise():
    data = ImageData(DataConfig(**DIGITS, augment=PLAIN), seed=0)
    images = augment.normalise(data.source.train.arrays(8)[0], data.mean, data.std).numpy()
    np.testing.assert_allclose(images.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(images.std((0, 1, 2)), 1, atol=1e-3)


def test_crop_cuts_windows_of_the_padded_image():
    images = tf.constant(np.random.default_rng(0).integers(1, 255, (64, 5, 5, 1)), tf.uint8)
    cropped = augment.random_crop(images, 2, tf.constant([1, 2])).numpy()
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    offsets = set()
    for before, after in zip(padded, cropped, strict=True):
        found = [(i, j) for i in range(5) for j in range(5) if np.array_equal(before[i : i + 5, j : j + 5], after)]
        assert found
        offsets.update(found)
    assert len(offsets) > 15


def test_flip_and_cutout():
    images = tf.reshape(tf.range(1, 257, dtype=tf.float32), [1, 16, 16, 1]) * tf.ones([200, 1, 1, 1])
    flipped = augment.random_flip(images, tf.constant([1, 2])).numpy()
    is_flipped = (flipped == images.numpy()[:, :, ::-1]).all((1, 2, 3))
    assert 60 < is_flipped.sum() < 140 and ((flipped == images).numpy().all((1, 2, 3)) | is_flipped).all()
    holes = (augment.cutout(images, 4, tf.constant([3, 4])).numpy() == 0).sum((1, 2, 3))
    assert holes.max() == 16 and holes.min() >= 4


def test_color_jitter_and_resized_crop_stay_in_range():
    images = tf.random.uniform([4, 12, 12, 3], 0, 256, tf.int32)
    images = tf.cast(images, tf.uint8)
    same = augment.color_jitter(images, (0.0, 0.0, 0.0, 0.0), tf.constant([1, 2]))
    assert np.abs(tf.cast(same, tf.int32) - tf.cast(images, tf.int32)).max() <= 1
    changed = augment.color_jitter(images, (0.4, 0.4, 0.4, 0.2), tf.constant([1, 2]))
    assert changed.dtype == tf.uint8 and np.any(changed != images)
    encoded = tf.io.encode_jpeg(tf.tile(images[0], [4, 4, 1]))
    crop = augment.random_resized_crop(encoded, 20, 0.08, tf.constant([1, 2]))
    assert crop.shape == (20, 20, 3) and crop.dtype == tf.uint8


def test_imagenet_augmentation_in_memory_and_streamed(tmp_path):
    folder(tmp_path, count=8)
    recipe = AugmentConfig(random_resized_crop=0.08, color_jitter=(0.4, 0.4, 0.4, 0.2))
    for in_memory in (True, False):
        config = DataConfig(
            name="folder", data_dir=str(tmp_path), image_size=32, batch_size=4, in_memory=in_memory, augment=recipe
        )
        [(x, y)] = take(ImageData(config, seed=0).train(), 2, 1)
        assert x.shape == (4, 32, 32, 3) and np.isfinite(x).all() and set(y) <= {0, 1}


def folder(path, count, prefix=""):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (path / prefix / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 255, (20 + i, 30, 3), np.uint8)).save(path / prefix / name / f"{i}.jpg")


def test_image_folder_with_and_without_a_test_folder(tmp_path):
    folder(tmp_path / "a", 10)
    source = load_source(DataConfig(name="folder", data_dir=str(tmp_path / "a")))
    assert source.class_names == ("cat", "dog") and (source.train.num_examples, source.test.num_examples) == (16, 4)
    folder(tmp_path / "b", 3, "train")
    folder(tmp_path / "b", 2, "val")
    source = load_source(DataConfig(name="folder", data_dir=str(tmp_path / "b")))
    assert (source.train.num_examples, source.test.num_examples) == (6, 4)
    images, labels = source.train.arrays(16)
    assert images.shape == (6, 16, 16, 3) and list(labels) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("make", ["absent", "empty", "one_class"])
def test_bad_folders_give_one_line(tmp_path, make):
    path = tmp_path / "images"
    if make != "absent":
        path.mkdir()
    if make == "one_class":
        (path / "cat").mkdir()
    with pytest.raises(UsageError, match="Received"):
        load_source(DataConfig(name="folder", data_dir=str(path)))


def test_tfds_set_that_is_not_prepared_says_so_at_once(tmp_path):
    start = time.perf_counter()
    with pytest.raises(UsageError, match=r"'mnist' is not prepared in .*tfds build mnist") as error:
        load_source(DataConfig(name="mnist", data_dir=str(tmp_path)))
    assert time.perf_counter() - start < 30 and "\n" not in str(error.value)


def test_unknown_set_says_so(tmp_path):
    for data_dir in (None, str(tmp_path)):
        with pytest.raises(UsageError, match="Unknown data set"):
            load_source(DataConfig(name="no_such_set_9", data_dir=data_dir))


def test_cifar10_from_tfds(cifar10_dir):
    config = DataConfig(name="cifar10", data_dir=str(cifar10_dir), batch_size=64, train_limit=1000, test_limit=100)
    data = ImageData(config, seed=0)
    assert data.source.num_classes == 10 and data.source.class_names[3] == "cat"
    [(x, y)] = take(data.train(), 0, 1)
    assert x.shape == (64, 32, 32, 3) and y.dtype == np.int32
    np.testing.assert_allclose(data.mean, (0.4914, 0.4822, 0.4465), atol=0.02)
