import io
import tarfile
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from dartsminus_tf.config import AugmentConfig, DataConfig
from dartsminus_tf.data import augment, policies
from dartsminus_tf.data.crop import center_crop, random_resized_crop
from dartsminus_tf.data.halves import split_indices
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.data.sources import load_source
from dartsminus_tf.foundation.errors import UsageError

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
    crop = random_resized_crop(encoded, 20, 0.08, tf.constant([1, 2]))
    assert crop.shape == (20, 20, 3) and crop.dtype == tf.uint8


@pytest.mark.parametrize("seed", [0, 1])
def test_imagenet_augmentation_in_memory_and_streamed(tmp_path, seed):
    keras.utils.set_random_seed(seed)
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
    assert images.shape == (6, 16, 16, 3) and sorted(labels) == [0, 0, 0, 1, 1, 1]


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


@pytest.fixture(scope="module")
def photograph():
    return load_sample_images().images[1][100:196, 200:296].copy()


def pillow_operations(image: Image.Image) -> dict:
    """What each operation of the policies does at level 5, by Pillow."""
    bilinear, grey = Image.Resampling.BILINEAR, (128,) * 3
    affine = lambda *m: image.transform(image.size, Image.Transform.AFFINE, m, bilinear, fillcolor=grey)  # noqa: E731
    shift = 150 / 331 * 0.5 * image.size[0]
    return {
        "shear_x": affine(1, 0.15, 0, 0, 1, 0),
        "shear_y": affine(1, 0, 0, 0.15, 1, 0),
        "translate_x": affine(1, 0, shift, 0, 1, 0),
        "translate_y": affine(1, 0, 0, 0, 1, shift),
        "rotate": image.rotate(15, bilinear, fillcolor=grey),
        "auto_contrast": ImageOps.autocontrast(image),
        "invert": ImageOps.invert(image),
        "equalize": ImageOps.equalize(image),
        "solarize": ImageOps.solarize(image, 128),
        "posterize": ImageOps.posterize(image, 6),
        "contrast": ImageEnhance.Contrast(image).enhance(1.45),
        "color": ImageEnhance.Color(image).enhance(1.45),
        "brightness": ImageEnhance.Brightness(image).enhance(1.45),
        "sharpness": ImageEnhance.Sharpness(image).enhance(1.45),
    }


def test_policy_operations_are_pillows(photograph):
    expected = pillow_operations(Image.fromarray(photograph))
    assert set(expected) == set(policies.NAMES)
    x, level, sign = tf.constant(photograph, tf.float32), tf.constant(5.0), tf.constant(1.0)
    apply = tf.function(lambda index: policies.apply_operation(x, index, level, sign))
    for index, name in enumerate(policies.NAMES):
        difference = np.abs(apply(tf.constant(index)).numpy() - np.asarray(expected[name], np.float32))
        # Keras' equalisation spreads the grey levels a little differently; edges and pixel centres differ in warps.
        assert difference.mean() < (6 if name == "equalize" else 2.5), (name, difference.mean())
        changed = np.abs(np.asarray(expected[name], np.float32) - photograph).mean()
        assert difference.mean() < 0.5 * changed, name


def test_policies_draw_anew_for_every_seed(photograph):
    image = tf.constant(photograph)
    for policy in (policies.autoaugment, lambda x, seed: policies.randaugment(x, 1, 9.0, seed)):
        run = tf.function(policy)
        results = [run(image, tf.constant([7, i])).numpy() for i in range(12)]
        assert len({result.tobytes() for result in results}) > 4 and results[0].dtype == np.uint8
        np.testing.assert_array_equal(run(image, tf.constant([7, 3])), results[3])


def test_center_crop_is_resize_and_crop():
    image = load_sample_images().images[0]
    encoded = tf.io.encode_jpeg(image, quality=100)
    ours = center_crop(encoded, 112, 0.875).numpy().astype(np.float32)
    height, width, _ = image.shape
    resized = tf.image.resize(tf.io.decode_jpeg(encoded), [128, round(width * 128 / height)]).numpy()
    left = (resized.shape[1] - 112) // 2
    assert np.abs(ours - resized[8:120, left : left + 112]).mean() < 6
    whole = center_crop(tf.constant(image), 32, 1.0)
    assert whole.shape == (32, 32, 3) and whole.dtype == tf.uint8


def test_crops_read_every_format_of_a_folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for suffix in ("jpg", "png", "bmp", "gif"):
            Image.fromarray(np.full((40, 50, 3), 200, np.uint8)).save(tmp_path / name / f"x.{suffix}")
    recipe = AugmentConfig(random_resized_crop=0.5, policy="autoaugment")
    data = ImageData(
        DataConfig(
            name="folder", data_dir=str(tmp_path), image_size=16, batch_size=3, augment=recipe, center_crop=0.875
        ),
        seed=0,
    )
    assert data._train_arrays is None  # crops are cut from the stored images
    assert all(np.isfinite(x).all() for x, _ in take(data.train(), 0, 4))
    [(x, _)] = list(data.test().as_numpy_iterator())
    np.testing.assert_allclose(x, np.broadcast_to((200 / 255 - np.array(data.mean)) / data.std, x.shape), atol=0.05)


@pytest.mark.parametrize(("in_memory", "operations"), [(True, 1), (False, None)])
def test_policies_and_mixup_are_a_function_of_the_step(in_memory, operations):
    policy = {"policy": "randaugment", "randaugment_operations": operations} if operations else {}
    recipe = AugmentConfig(mixup=0.2, **policy)
    config = DataConfig(**DIGITS, augment=recipe, train_limit=64, in_memory=in_memory)
    whole, later = take(ImageData(config, 1).train(), 0, 7), take(ImageData(config, 1).train(), 5, 2)
    for (x, y), (u, v) in zip(whole[5:], later, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)
    for _, y in whole:
        assert y.shape == (16, 10)
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


def test_mixup_blends_images_and_labels_alike():
    x = tf.constant([0.0, 1.0, 2.0, 3.0])[:, None, None, None] * tf.ones([4, 2, 2, 1])
    shares = []
    for i in range(200):
        mixed, y = augment.mixup(x, tf.range(4), 4, 0.2, tf.constant([1, i]))
        share = y[0, 0].numpy()
        shares.append(share)
        np.testing.assert_allclose(mixed[:, 0, 0, 0], [3 - 3 * share, 2 - share, 1 + share, 3 * share], atol=1e-5)
    assert abs(np.mean(shares) - 0.5) < 0.1 and abs(np.var(shares) - 0.25 / 1.4) < 0.04  # Beta(0.2, 0.2)


def test_folders_mix_their_classes(tmp_path):
    folder(tmp_path, 40)
    source = load_source(DataConfig(name="folder", data_dir=str(tmp_path), train_limit=16))
    labels = [int(label) for _, label in source.train.stream()]
    assert 3 <= sum(labels) <= 13


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_imagenet_prepared_by_tfds(tmp_path):
    """The builder of `imagenet2012` itself, on archives of the original's form with a few photographs in them."""
    import tensorflow_datasets as tfds

    photographs = load_sample_images().images
    jpeg = lambda i: tf.io.encode_jpeg(photographs[i % 2][: 300 + 10 * i, :400]).numpy()  # noqa: E731
    classes = {"n01440764": 6, "n01443537": 6}
    inner = {
        f"{name}.tar": tar_of({f"{name}_{i}.JPEG": jpeg(i) for i in range(count)}) for name, count in classes.items()
    }
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "ILSVRC2012_img_train.tar").write_bytes(tar_of(inner))
    validation = {f"ILSVRC2012_val_{i:08d}.JPEG": jpeg(i) for i in range(1, 5)}
    (tmp_path / "manual" / "ILSVRC2012_img_val.tar").write_bytes(tar_of(validation))
    builder = tfds.builder("imagenet2012", data_dir=tmp_path)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "manual"))

    recipe = AugmentConfig(random_resized_crop=0.08, crop_padding=0)
    config = DataConfig(
        name="imagenet2012", data_dir=str(tmp_path), image_size=64, batch_size=4, augment=recipe, center_crop=0.875
    )
    data = ImageData(config, seed=0)
    assert data.source.num_classes == 1000 and data.source.train.num_examples == 12
    assert data.source.class_names[0] == "n01440764"
    [(x, y)] = take(data.train(), 0, 1)
    assert x.shape == (4, 64, 64, 3) and set(y) <= {0, 1}
    assert sum(len(labels) for _, labels in data.test().as_numpy_iterator()) == 4
