"""Annotation files in other encodings, and pictures by the names that other tools and systems give them."""

import codecs
import json
import unicodedata
from pathlib import Path

import pytest

from dartsminus_tf.foundation.errors import UsageError
from detection.cli import prepare_coco
from detection.coco.annotations import read_labels
from detection.coco.load import load_annotations
from detection.coco.names import PictureFolder
from detection.coco.repair import repair

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
SMALL = {"images": [{"file_name": COMPOSED}], "annotations": [], "categories": [{"name": "Größe 猫"}]}
MARKS = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}


@pytest.mark.parametrize("mark", [True, False], ids=["marked", "plain"])
@pytest.mark.parametrize("encoding", [*MARKS, "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("escaped", [True, False])
def test_every_encoding_of_json_is_read(tmp_path, encoding, mark, escaped):
    marks = MARKS | {"utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE}
    text = json.dumps(SMALL, ensure_ascii=escaped).encode(encoding)
    (tmp_path / "a.json").write_bytes(marks[encoding] * mark + text)
    assert load_annotations(str(tmp_path / "a.json")) == SMALL


@pytest.mark.parametrize(
    "encoding, near", [("latin-1", "é.jpg"), ("cp1252", "é.jpg"), ("mac-roman", ""), ("cp850", "")]
)
def test_text_that_is_no_unicode_is_refused_with_its_line(tmp_path, encoding, near):
    text = json.dumps(SMALL | {"categories": []}, ensure_ascii=False, indent=1).encode(encoding)
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(UsageError, match="must be JSON in UTF-8 .line 4, byte .*save it as UTF-8") as refused:
        load_annotations(str(tmp_path / "a.json"))
    assert near in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{\x00", b"\xef\xbb\xbf", b"{}x", b"\x1f\x8b\x08"])
def test_what_is_no_json_in_any_encoding(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UsageError, match="must be"):
        load_annotations(str(tmp_path / "a.json"))


@pytest.mark.parametrize("place", ["missing.json", "no/such/folder.json", "a.json/b.json"])
def test_a_missing_file_is_said_to_be_missing(tmp_path, monkeypatch, place):
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for read, name in ((load_annotations, "--annotations"), (read_labels, "task.annotation_file")):
        with pytest.raises(UsageError, match=f"{name}: no such file .'{tmp_path}/{place}'"):
            read(place)


def test_a_missing_folder_is_said_to_be_missing(coco_folder, tmp_path, monkeypatch, capsys):
    _, coco, write = coco_folder
    monkeypatch.chdir(tmp_path)
    flags = ["prepare_coco", "--image_dir=imges", f"--annotations={write(coco)}", "--output_dir=out"]
    assert prepare_coco.run(flags) == 2
    assert f"--image_dir: no such folder ('{tmp_path}/imges')" in capsys.readouterr().err


FOUND = [  # (what the annotations say, where the file is)
    ("a.jpg", "a.jpg"),
    ("./a.jpg", "a.jpg"),
    ("x//./a.jpg", "x/a.jpg"),
    ("x\\y\\a.jpg", "x/y/a.jpg"),
    (".\\a.jpg", "a.jpg"),
    ("x/a.jpg", "x\\a.jpg"),
    ("a%20b%23.jpg", "a b#.jpg"),
    ("a b#.jpg", "a%20b%23.jpg"),
    ("x%2Fa.jpg", "x/a.jpg"),
    ("x%5Ca.jpg", "x/a.jpg"),
    ("100%.jpg", "100%.jpg"),
    ("a.JPG", "a.jpg"),
    ("a.jpg", "a.JPG"),
    ("x.y/a.Jpeg", "x.y/a.jpeg"),
    (COMPOSED, DECOMPOSED),
    (DECOMPOSED, COMPOSED),
    (f"{DECOMPOSED}/a.jpg", f"{COMPOSED}/a.jpg"),
    ("images/a.jpg", "a.jpg"),
    ("{parent}/images/a.jpg", "a.jpg"),
    ("images\\x\\a.jpg", "x/a.jpg"),
    ("images/images/a.jpg", "images/a.jpg"),
    ("{folder}/a.jpg", "a.jpg"),
    ("/elsewhere/images/x/a.jpg", "x/a.jpg"),
    ("C:\\data\\images\\a.jpg", "a.jpg"),
    (f"images\\x%20y\\{DECOMPOSED[:-4]}.JPG", f"x y/{COMPOSED}"),
]


def folder_of(tmp_path: Path, *files: str) -> PictureFolder:
    folder = tmp_path / "images"
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return PictureFolder(str(folder))


@pytest.mark.parametrize("name, file", FOUND)
def test_a_picture_is_found_by_another_spelling(tmp_path, name, file):
    name = name.format(folder=tmp_path / "images", parent=tmp_path.name)
    assert folder_of(tmp_path, file, "b.jpg").find_all([name]) == {name: file}


@pytest.mark.parametrize(
    "name, files",
    [
        ("A.jpg", ["a.jpg"]),
        ("a.jpg", ["a.jpeg"]),
        ("a.jpg", ["a.JPG", "a.Jpg"]),
        ("a b.jpg", ["a%20b.jpg", "a b.JPG"]),
        ("../images/a.jpg", ["a.jpg"]),
        ("..\\images\\a.jpg", ["a.jpg"]),
        ("%2e%2e/images/a.jpg", ["a.jpg"]),
        ("x/../a.jpg", ["a.jpg", "x/b.jpg"]),
        ("/elsewhere/a.jpg", ["a.jpg"]),
        ("other/a.jpg", ["a.jpg"]),
        ("a.jpg", ["x/a.jpg"]),
        ("x", ["x/a.jpg"]),
        ("", ["a.jpg"]),
        ("a\x00.jpg", ["a.jpg"]),
        ("a" * 5000, ["a.jpg"]),
    ],
)
def test_what_is_not_certain_is_not_found(tmp_path, name, files):
    assert folder_of(tmp_path, *files).find_all([name, None, 7]) == {name: None}


@pytest.mark.parametrize(
    "names, files, found",
    [
        (["a.jpg", "a.JPG"], ["a.jpg"], ["a.jpg", None]),  # the second one's file is lost, it has not its boxes
        (["a.JPG", "a.Jpg"], ["a.jpg"], [None, None]),
        (["images/a.jpg", "a.jpg"], ["a.jpg"], [None, "a.jpg"]),
        (["a%20b.jpg", "a b.jpg"], ["a b.jpg", "a%20b.jpg"], ["a%20b.jpg", "a b.jpg"]),
        (["/x/images/a.jpg", "/y/images/a.jpg"], ["a.jpg"], [None, None]),
        (["./a.JPG", "a.JPG"], ["a.jpg"], ["a.jpg", "a.jpg"]),
        (["x\\a.jpg", "x/a.jpg"], ["x/a.jpg"], ["x/a.jpg", "x/a.jpg"]),
    ],
)
def test_a_file_that_another_name_means_is_no_guess(tmp_path, names, files, found):
    assert folder_of(tmp_path, *files).find_all(names) == dict(zip(names, found, strict=True))


def test_boxes_go_to_the_picture_that_was_found(coco_folder):
    images, coco, _ = coco_folder
    (images / "2.jpg").rename(images / "2.JPG")
    coco["images"][1]["file_name"] = "images\\2.jpg"
    repaired, counts = repair(coco, str(images))
    assert counts == {"image_found_by_another_name": 1}
    expected = {"id": 2, "file_name": "2.JPG", "width": 40, "height": 30, "original_file_name": "images\\2.jpg"}
    assert repaired["images"][1] == expected
    assert [a["bbox"] for a in repaired["annotations"] if a["image_id"] == 2] == [[0, 0, 40, 30]]


@pytest.mark.parametrize(
    "name, file, nearest",
    [
        ("IMG-1.jpg", "IMG_1.jpg", "IMG_1.jpg"),
        ("1.jpg", "deep/1.jpg", "deep/1.jpg"),
        ("cat1.png", "kat1.png", "kat1.png"),
    ],
)
def test_the_first_missing_name_and_the_nearest_are_shown(coco_folder, tmp_path, capsys, name, file, nearest):
    images, coco, write = coco_folder
    (images / file).parent.mkdir(exist_ok=True)
    (images / "1.jpg").rename(images / file)
    coco["images"][0]["file_name"] = name
    flags = ["prepare_coco", f"--image_dir={images}", f"--output_dir={tmp_path / 'out'}"]
    assert prepare_coco.run([*flags, f"--annotations={write(coco)}"]) == 1
    assert f"looked for {name!r}, the nearest is {nearest!r}" in capsys.readouterr().out
    coco["images"] = coco["images"][:1]
    assert prepare_coco.run([*flags, f"--annotations={write(coco)}", "--overwrite"]) == 2
    line = capsys.readouterr().err
    assert f"none of the 1 images (looked for {name!r}, the nearest is {nearest!r})" in line


def test_an_empty_folder_has_no_nearest_file(tmp_path):
    (tmp_path / "images").mkdir()
    folder = PictureFolder(str(tmp_path / "images"))
    assert folder.nearest_to_missing(folder.find_all(["a.jpg"])) == "looked for 'a.jpg', there is no file"
