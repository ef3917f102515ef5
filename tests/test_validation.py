"""What a training validates on: a split of its own, or a part of the training split with its share of every class."""

import re

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dartsminus_tf.config import DataConfig, SearchConfig, TrainConfig, TrainDataConfig
from dartsminus_tf.data.class_folders import find
from dartsminus_tf.data.labels import stratified
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.data.sources import load_source
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from tests.odd_pictures import fill

DIGITS = {"image_size": 8, "batch_size": 16}


def test_a_part_has_its_share_of_every_class():
    labels = np.random.RandomState(0).permutation(np.repeat([0, 1, 2, 3], [200, 100, 50, 10]))
    train, part = stratified(labels, 0.1)
    assert list(np.bincount(labels[part])) == [20, 10, 5, 1] and len(train) + len(part) == 360
    assert not set(train) & set(part) and list(part) == sorted(part) and list(train) == sorted(train)
    np.testing.assert_array_equal(part, stratified(labels, 0.1)[1])
    assert part[-1] - part[0] > 200  # from everywhere


def test_small_classes_are_divided_as_far_as_they_can_be():
    labels = np.array([0, 0, 1, 1, 2, 5, 5, 5])
    train, part = stratified(labels, 0.1)
    assert sorted(labels[part]) == [0, 1, 5] and sorted(labels[train]) == [0, 1, 2, 5, 5]  # one alone trains
    with pytest.raises(UsageError, match="data.validation=none.*Received: 3 examples of 3 classes"):
        stratified(np.arange(3), 0.5)
    with pytest.raises(UsageError, match=r"class number 1 has 2\): give a smaller share. Received: 0.95"):
        stratified(np.array([0] * 98 + [1] * 2), 0.95)


@pytest.mark.parametrize("value", [0, 1, 1.5, -0.1, True, None, "val", "0.1", [0.1]])
def test_other_values_are_refused_in_one_line(value):
    with pytest.raises(
        UsageError, match="'data.validation': Input should be auto, none, or a fraction between 0 and 1"
    ):
        load_config(TrainConfig, overrides=[f"data.validation={value!r}".replace("None", "null").lower()])


@pytest.mark.parametrize("key", ["patience=3", "export=best"])
def test_what_is_chosen_by_a_validation_needs_one(key):
    name = re.escape(key.replace("=", ": ") if "export" in key else "patience")
    with pytest.raises(UsageError, match=f"{name} needs a validation, and data.validation is none"):
        load_config(TrainConfig, overrides=["data.validation=none", key])


def test_the_best_epoch_is_exported_where_something_validates():
    exported = {}
    for validation in ("auto", "0.2", "none"):
        config = load_config(TrainConfig, overrides=[f"data.validation={validation}"])
        exported[validation] = config.exports_best
    assert exported == {"auto": True, "0.2": True, "none": False}
    assert not load_config(TrainConfig, overrides=["export=last"]).exports_best


def test_a_search_has_no_such_key():
    with pytest.raises(UsageError, match="Unknown config key 'data.validation'"):
        load_config(SearchConfig, overrides=["data.validation=none"])


def marked(data: ImageData, batches) -> set[bytes]:
    return {image.tobytes() for images, _ in batches for image in np.asarray(images).astype(np.float32)}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(("validation", "number"), [("auto", 20), (0.25, 50)])
def test_a_part_of_the_training_validates_and_does_not_train(in_memory, validation, number):
    plain = {"crop_padding": 0, "flip": False}
    own = {**DIGITS, "batch_size": 10, "train_limit": 200, "in_memory": in_memory, "augment": plain}
    config = TrainDataConfig(**own, validation=validation, mean=(0,) * 3, std=(1,) * 3)
    data = ImageData(config, 0)
    assert len(data.validation_indices) == number and data.train().steps_per_epoch == (200 - number) // 10
    held_out = marked(data, data.validation().as_numpy_iterator())
    trained = marked(data, data.train().from_step(0).take(4 * data.train().steps_per_epoch).as_numpy_iterator())
    assert len(held_out) == number and not held_out & trained and len(trained) > 0.9 * (200 - number)
    images, labels = data.source.train.arrays(8)
    whole = {image.tobytes() for image in (images[data.validation_indices] * np.float32(1 / 255))}
    assert held_out == whole
    found = np.concatenate([y for _, y in data.validation().as_numpy_iterator()])
    np.testing.assert_array_equal(found, labels[data.validation_indices])
    assert data.content["validation"].startswith(f"{number} training examples, ")


def test_images_are_normalised_by_those_that_train():
    data = ImageData(TrainDataConfig(**DIGITS, train_limit=100), 0)
    images = data.source.train.arrays(8)[0][data.train_indices] / 255
    np.testing.assert_allclose(data.mean, images.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(data.std, images.std((0, 1, 2)), atol=1e-6)
    whole = ImageData(TrainDataConfig(**DIGITS, train_limit=100, validation="none"), 0)
    assert whole.mean != data.mean and whole.validation() is None and whole.train().steps_per_epoch == 6
    assert "validation" not in whole.content


def folders(root, validation="val", counts=(5, 3, 2)):
    for split, count in zip(("Train", validation, "test"), counts, strict=True):
        for name in ("cat", "dog"):
            fill(root / split / name, count)
    return root


def of_folder(root, **config):
    return load_source(TrainDataConfig(name="folder", data_dir=str(root), **DIGITS, **config))


@pytest.mark.parametrize("spelling", ["val", "Validation", "valid_set", "dev", "EVAL", "val2017"])
def test_a_validation_folder_beside_a_test_folder_validates(tmp_path, spelling, capsys):
    source = of_folder(folders(tmp_path, spelling))
    sizes = [split.num_examples for split in (source.train, source.validation, source.test)]
    assert sizes == [10, 6, 4] and "is not read" not in capsys.readouterr().err
    assert sorted(source.content) == ["test", "train", "validation"]


def test_with_a_validation_folder_all_of_the_training_trains(tmp_path):
    config = TrainDataConfig(name="folder", data_dir=str(folders(tmp_path)), **DIGITS | {"batch_size": 4})
    data = ImageData(config, 0)
    assert (len(data.train_indices), len(data.validation_indices)) == (10, 0)
    assert data.content == data.source.content
    assert sum(len(y) for _, y in data.validation().as_numpy_iterator()) == 6


@pytest.mark.parametrize("config", [{"validation": "none"}, {"validation": 0.25}, None])
def test_a_validation_folder_is_passed_over_where_it_is_not_used(tmp_path, config, capsys):
    folders(tmp_path)
    is_search = config is None
    kind = DataConfig if is_search else TrainDataConfig
    source = load_source(kind(name="folder", data_dir=str(tmp_path), **DIGITS, **(config or {})))
    assert source.validation is None and sorted(source.content) == ["test", "train"]
    assert f"folder {tmp_path}/val is not read" in capsys.readouterr().err


def test_validation_alone_is_the_test(tmp_path):
    for split, count in (("train", 10), ("val", 2)):
        for name in ("cat", "dog"):
            fill(tmp_path / split / name, count)
    source = of_folder(tmp_path)
    assert (source.test.num_examples, source.validation) == (4, None)
    config = TrainDataConfig(name="folder", data_dir=str(tmp_path), **DIGITS | {"in_memory": False})
    data = ImageData(config, 0)
    assert len(data.validation_indices) == 2 and sorted(data.source.train.labels()[data.validation_indices]) == [0, 1]


def test_faults_of_a_validation_folder_are_said(tmp_path, capsys):
    folders(tmp_path, counts=(3, 1, 1))
    (tmp_path / "val" / "cat" / "0.png").write_bytes(b"x")
    assert of_folder(tmp_path).validation.num_examples == 1
    assert f"{tmp_path}/val/cat/0.png" in capsys.readouterr().err
    (tmp_path / "val" / "dog" / "0.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="No picture of the validation can be used"):
        of_folder(tmp_path)
    fill(tmp_path / "val" / "Cat")
    with pytest.raises(UsageError, match="A class of the validation must be one of the training"):
        of_folder(tmp_path)


def test_training_validation_and_test_are_different_folders(tmp_path):
    folders(tmp_path)
    (tmp_path / "val").rename(tmp_path / "other")
    (tmp_path / "val").symlink_to(tmp_path / "test")
    assert find(tmp_path).validation is None
    with pytest.raises(UsageError, match="Training, validation and test must be different folders"):
        find(tmp_path, validates=True)


def test_labels_of_a_folder_are_known_and_a_part_is_read_alone(tmp_path):
    """No other file is read for the examples that validate."""
    for name in ("cat", "dog"):
        fill(tmp_path / name, 10)
    config = {"name": "folder", "data_dir": str(tmp_path), "in_memory": False}
    data = ImageData(TrainDataConfig(**DIGITS | config | {"batch_size": 4}), 0)
    split, part = data.source.train, data.validation_indices
    np.testing.assert_array_equal(split.labels(), [label for _, label in find(tmp_path).train])
    for path in [path for number, (path, _) in enumerate(find(tmp_path).train) if number not in part]:
        path.unlink()
    assert sum(len(y) for _, y in data.validation().as_numpy_iterator()) == len(part) == 2


class ThreeSplits(tfds.core.GeneratorBasedBuilder):
    """Ten images of each of two classes, and a few that validate and test."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(shape=(8, 8, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, manager):
        return {"train": self._examples(20), "validation": self._examples(6), "test": self._examples(4)}

    def _generate_examples(self, *unused):
        raise NotImplementedError

    def _examples(self, number):
        for place in range(number):
            yield place, {"image": np.full((8, 8, 3), place, np.uint8), "label": place % 2}


def test_a_validation_split_of_tfds_beside_a_test_validates(tmp_path):
    ThreeSplits(data_dir=tmp_path).download_and_prepare()
    own = {"name": "three_splits", "data_dir": str(tmp_path), "in_memory": False}
    sizes = {}
    for validation in ("auto", "none", 0.2):
        source = load_source(TrainDataConfig(**own, validation=validation))
        sizes[validation] = source.validation and source.validation.num_examples
        assert (source.train.num_examples, source.test.num_examples) == (20, 4)
        assert ("validation" in source.content) == (validation == "auto")
    assert sizes == {"auto": 6, "none": None, 0.2: None}
    data = ImageData(TrainDataConfig(**own, **DIGITS | {"batch_size": 4}, validation=0.2), 0)
    labels = data.source.train.labels()  # a streamed set, which is read for them
    np.testing.assert_array_equal(labels, data.source.train.arrays(8)[1])
    assert len(labels) == 20 and sorted(labels[data.validation_indices]) == [0, 0, 1, 1]
    assert sum(len(y) for _, y in data.validation().as_numpy_iterator()) == 4
