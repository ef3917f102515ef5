"""The place of a run's data may change between its calls, their content may not."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from dartsminus_tf.config import DataConfig, SearchConfig, TrainConfig
from dartsminus_tf.data.sources import load_source
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.content import described, require_same_content
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.search.runner import run_search
from tests.conftest import TINY_SEARCH


def write_pictures(folder, number=4):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for index in range(number):
            Image.fromarray(random.integers(0, 256, (9, 8, 3), np.uint8)).save(folder / name / f"{index}.png")
    return folder


def content(folder, **more):
    return load_source(DataConfig(name="folder", data_dir=str(folder), **more)).content


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("data") / "pictures")


def test_content_is_named(pictures):
    found = content(pictures)
    assert found.keys() == {"train", "test"}
    assert found["train"].startswith("6 pictures, ") and found["test"].startswith("2 pictures, ")


def test_another_place_is_the_same_content(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "a b" / "c")
    (tmp_path / "link").symlink_to(pictures)
    assert content(tmp_path / "a b" / "c") == content(tmp_path / "link") == content(pictures)


def add(folder):
    shutil.copy(folder / "cat" / "0.png", folder / "cat" / "9.png")


def replace_by_another_size(folder):
    Image.new("RGB", (3, 3)).save(folder / "dog" / "1.png")


def change_class(folder):
    (folder / "dog" / "1.png").rename(folder / "cat" / "4.png")


CHANGES = {
    "one more": add,
    "one less": lambda folder: (folder / "dog" / "0.png").unlink(),
    "replaced": replace_by_another_size,
    "of another class": change_class,
    "renamed": lambda folder: (folder / "dog" / "1.png").rename(folder / "dog" / "x.png"),
    "broken": lambda folder: (folder / "dog" / "1.png").write_bytes(b"x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_content(change, pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "copy")
    CHANGES[change](tmp_path / "copy")
    assert content(tmp_path / "copy") != content(pictures)


def test_a_set_of_tfds(cifar10_dir):
    source = load_source(DataConfig(name="cifar10", data_dir=str(cifar10_dir)))
    assert source.content["train"].startswith(f"{source.train.num_examples:,} examples, ")
    assert source.content["train"] != source.content["test"]


# A run


def test_what_a_run_began_with(tmp_path):
    require_same_content(tmp_path, {})
    assert not list(tmp_path.iterdir())
    first = {"train": described(3, "pictures", [1])}
    require_same_content(tmp_path, first)
    require_same_content(tmp_path, first | {"test": described(1, "pictures", [2])})
    require_same_content(tmp_path, first)
    assert set(json.loads((tmp_path / "data.json").read_text())) == {"train", "test"}
    for other in (described(4, "pictures", [1]), described(3, "pictures", [2]), ""):
        with pytest.raises(UsageError, match=r"began with other data \(train: '3 pictures, .*another --model_dir"):
            require_same_content(tmp_path, {"train": other})
    (tmp_path / "data.json").write_text("[]")
    with pytest.raises(UsageError, match=r"data\.json"):
        require_same_content(tmp_path, first)


@pytest.mark.parametrize(("kind", "more"), [(SearchConfig, {}), (TrainConfig, {"genotype": "x"})])
@pytest.mark.parametrize("key", ["data_dir", "name", "batch_size", "download"])
def test_which_keys_of_the_data_may_change(kind, more, key, tmp_path):
    config = load_config(
        kind, overrides=["data.name=cifar10", "data.data_dir=/a", *(f"{k}={v}" for k, v in more.items())]
    )
    with RunDirectory(tmp_path, config):
        pass
    values = {"data_dir": "/b", "name": "cifar100", "batch_size": 3, "download": True}
    other = config.model_copy(update={"data": config.data.model_copy(update={key: values[key]})})
    if key in ("data_dir", "download"):
        RunDirectory(tmp_path, other)
    else:
        with pytest.raises(UsageError, match=rf"data\.{key}"):
            RunDirectory(tmp_path, other)


def test_a_search_goes_on_where_its_pictures_were_moved_to(pictures, tmp_path):
    def search(folder):
        tiny = [text for text in TINY_SEARCH if "limit" not in text]
        overrides = [*tiny, "space=nasbench201", "layers=1", "data.name=folder", f"data.data_dir={folder}"]
        return run_search(load_config(SearchConfig, overrides=[*overrides, "data.batch_size=2"]), tmp_path / "run")

    shutil.copytree(pictures, tmp_path / "here")
    result = search(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    (tmp_path / "run" / "result.json").unlink()
    assert search(tmp_path / "there")["genotype"] == result["genotype"]
    assert f"data_dir: {tmp_path / 'there'}" in (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "result.json").unlink()
    add(tmp_path / "there")
    with pytest.raises(UsageError, match="began with other data"):
        search(tmp_path / "there")
    assert not (tmp_path / "run" / "result.json").exists()
