"""Class folders as people have them: splits in every spelling, classes by odd names, and what cannot be meant."""

import os
import unicodedata
from pathlib import Path

import pytest

from dartsminus_tf.data.class_folders import find, split_of
from tests.odd_pictures import encoded, fill, load, refusal


@pytest.mark.parametrize(
    "train, test",
    [("train", "test"), ("Train", "Val"), ("training", "valid"), ("TRAINING", "Validation"), ("train", "dev")]
    + [("trn", "tst"), ("train2017", "val2017"), ("Training Set", "test_set"), ("train_images", "TESTING")]
    + [("train-data", "testset"), ("train1", "test1"), ("Train", "eval"), ("ｔｒａｉｎ", "valid_set")],
)
def test_splits_are_known_in_every_usual_spelling(tmp_path, train, test):
    for name in ("cat", "dog"):
        fill(tmp_path / train / name, 3)
        fill(tmp_path / test / name, 2)
    found = find(tmp_path)
    assert (found.classes, len(found.train), len(found.test)) == (["cat", "dog"], 6, 4)
    assert {path.parent.parent.name for path, _ in found.test} == {test}


@pytest.mark.parametrize("name", ["trainer", "rain", "values", "validate", "tester", "contest", "device", "train20170"])
def test_other_words_are_no_splits(name):
    assert split_of(name) is None


def test_the_test_is_test_and_what_is_not_read_is_said(tmp_path, capsys):
    for split, count in (("train", 3), ("val", 1), ("Test", 2)):
        for name in ("cat", "dog"):
            fill(tmp_path / split / name, count)
    (tmp_path / "annotations").mkdir()
    assert load(tmp_path).test.num_examples == 4
    said = capsys.readouterr().err
    assert f"folder {tmp_path}/val is not read" in said and f"folder {tmp_path}/annotations is not read" in said


NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
REFUSED = {
    "training without test": (["train/cat", "train/dog"], "add the one that is missing"),
    "validation alone": (["valid/cat", "cat", "dog"], "add the one that is missing"),
    "training among classes": (["car", "bus", "Train"], "'Train'"),
    "test among classes": (["cat", "dog", "testing"], "'testing'"),
    "training twice": (["train/a", "Training/a", "test/a"], "Two folders are called like the same split"),
    "validation twice": (["train/a", "train/b", "val/a", "valid/a"], "Two folders are called like the same split"),
    "a split among a split's classes": (
        ["train/a", "train/b", "train/Val", "val/a"],
        "must not be called like a split",
    ),
    "a split of a split": (["train/train", "train/test", "test/a"], "must not be called like a split"),
    "two forms of a name": ([NFC, NFD, "dog"], r"'cafe\u0301', 'caf\xe9'"),
    "two forms in a test": (["train/dog", f"train/{NFC}", f"test/{NFC}", f"test/{NFD}"], "one and the same class"),
    "a test class that training lacks": (["train/a", "train/b", "test/a", "test/c"], "test/c"),
    "a test class in another case": (["train/Cat", "train/dog", "val/cat"], "spelt otherwise: Cat"),
    "one class": (["train/a", "test/a"], "at least two class folders"),
    "one picture of a class": (["cat"], "at least two class folders"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_layouts_that_cannot_be_meant_are_refused(tmp_path, kind):
    folders, words = REFUSED[kind]
    for folder in folders:
        fill(tmp_path / folder, 2)
    assert words in refusal(tmp_path)


@pytest.mark.parametrize("where", ["", "train", "test"])
@pytest.mark.parametrize("content", [[], ["notes.txt"], ["a.heic", "b.HEIC"], [".hidden.png"]])
def test_a_class_without_pictures_is_refused_by_its_name(tmp_path, where, content):
    for split in ["train", "test"] if where else [""]:
        for name in ("cat", "dog"):
            fill(tmp_path / split / name, 2)
    (tmp_path / where / "elk").mkdir()
    (tmp_path / ("train" if where else "") / "elk").mkdir(exist_ok=True)
    if where == "test":
        fill(tmp_path / "train" / "elk", 2)
    for name in content:
        (tmp_path / where / "elk" / name).write_bytes(encoded("PNG"))
    message = refusal(tmp_path)
    assert "must have pictures" in message and f"{tmp_path / where / 'elk'}" in message
    assert (".heic 2" in message) == ("a.heic" in content)


def test_a_class_of_one_picture_is_named_where_a_test_is_held_out(tmp_path):
    fill(tmp_path / "cat", 4)
    fill(tmp_path / "dog", 1)
    assert refusal(tmp_path).endswith(f"at least two images. Received: {tmp_path}/dog")


def test_a_class_that_the_test_lacks_is_said(tmp_path, capsys):
    for folder in ("train/cat", "train/dog", "val/dog"):
        fill(tmp_path / folder, 2)
    source = load(tmp_path)
    assert source.class_names == ("cat", "dog") and list(source.test.arrays(8)[1]) == [1, 1]
    assert f"data: class 'cat' is not in {tmp_path}/val\n" in capsys.readouterr().err


@pytest.mark.parametrize("link", ["a class twice", "test is train"])
def test_one_folder_under_two_names_is_refused(tmp_path, link):
    for name in ("cat", "dog"):
        fill(tmp_path / "train" / name, 2)
        fill(tmp_path / "test" / name, 2)
    if link == "a class twice":
        (tmp_path / "train" / "hound").symlink_to(tmp_path / "train" / "dog")
        assert "one and the same class" in refusal(tmp_path)
    else:
        (tmp_path / "test").rename(tmp_path / "old")
        (tmp_path / "test").symlink_to(tmp_path / "train")
        assert "must be different folders" in refusal(tmp_path)


def test_names_of_classes_are_sorted_in_one_form(tmp_path):
    for split, form in (("train", NFD), ("test", NFC)):
        for name in (form, "cafz", "dog"):
            fill(tmp_path / split / name, 1)
    source = load(tmp_path)
    assert source.class_names == ("cafz", NFC, "dog") and sorted(source.test.arrays(8)[1]) == [0, 1, 2]


HIDDEN = ["._0.png", ".DS_Store", "Thumbs.db", ".ipynb_checkpoints/0.png", "__MACOSX/a/._0.png", "__MACOSX/0.png"]
HIDDEN += ["@eaDir/0.jpg/SYNO.jpg", ".a/b/0.png", "desktop.ini", "THUMBS.DB"]


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("place", ["train", "train/cat", "test/dog/more", "."])
def test_hidden_files_and_folders_are_no_pictures_at_any_depth(tmp_path, name, place):
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            fill(tmp_path / split / label, 2)
            fill(tmp_path / split / label / "more", 1)
    hidden = tmp_path / place / name
    hidden.parent.mkdir(parents=True, exist_ok=True)
    hidden.write_bytes(b"nothing to see")
    found = find(tmp_path)
    assert (found.classes, found.faults, found.remarks) == (["cat", "dog"], [], [])
    assert len(found.train) == len(found.test) == 6 and hidden not in dict(found.train + found.test)


def test_a_class_folder_whose_name_is_not_utf8(tmp_path):
    for name in (b"caf\xe9", b"dog"):
        fill(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)), 5)
    assert load(tmp_path).class_names == ("caf\\xe9", "dog")
