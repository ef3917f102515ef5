"""Ids, flags and names in every form that annotation tools write, in all sections: the right boxes and classes."""

import copy
import json

import pytest

from dartsminus_tf.foundation.errors import UsageError
from detection.coco.annotations import labels_of, read_labels
from detection.coco.metrics import evaluate, ground_truth
from detection.coco.repair import repair
from detection.coco.values import read_flag, read_id, read_name, read_number

SECTIONS = {  # where an id is stated, and what refers to it
    "images": ("images", "id", 1),
    "image_id": ("annotations", "image_id", 1),
    "categories": ("categories", "id", 7),
    "category_id": ("annotations", "category_id", 7),
}
FORMS = {
    "whole": lambda number: number,
    "float": float,
    "text": str,
    "padded": lambda number: f"{number:012d}",
    "text of a float": lambda number: f"{number}.0",
    "spaces": lambda number: f" {number}\n",
    "plus": lambda number: f"+{number}",
}
EXPECTED = [(1, 1, [2, 3, 10, 12]), (1, 7, [20, 5, 15, 20]), (2, 7, [0, 0, 40, 30])]


def objects(repaired) -> list[tuple]:
    return [(a["image_id"], a["category_id"], a["bbox"]) for a in repaired["annotations"]]


def restated(coco, section, key, form) -> None:
    for entry in coco[section]:
        entry[key] = form(entry[key])


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("form", FORMS)
def test_one_number_in_another_form_is_the_same_id(coco_folder, section, form):
    images, coco, _ = coco_folder
    restated(coco, *SECTIONS[section][:2], FORMS[form])
    repaired, counts = repair(coco, str(images))
    assert counts == {} and objects(repaired) == EXPECTED
    assert [(c["id"], c["name"]) for c in repaired["categories"]] == [(1, "cat"), (7, "dog")]
    assert [image["id"] for image in repaired["images"]] == [1, 2, 3]
    assert all(type(entry["id"]) is int for entry in repaired["images"] + repaired["categories"])


@pytest.mark.parametrize("text", ["5f1c-ab", "image one", "1e3", "Größe", "0x1", "1.5", str(2**60)])
@pytest.mark.parametrize("form", [str, lambda text: f" {text} "], ids=["same", "spaces"])
def test_ids_of_text_match_in_all_sections(coco_folder, text, form):
    images, coco, _ = coco_folder
    coco["images"][0]["id"] = text
    coco["categories"][1]["id"] = text
    for entry in coco["annotations"]:
        entry["image_id"] = form(text) if entry["image_id"] == 1 else entry["image_id"]
        entry["category_id"] = form(text) if entry["category_id"] == 7 else entry["category_id"]
    repaired, counts = repair(coco, str(images))
    assert counts == {"image_id_renumbered": 1, "category_renumbered": 2}
    assert objects(repaired) == [(4, 1, [2, 3, 10, 12]), (4, 2, [20, 5, 15, 20]), (2, 2, [0, 0, 40, 30])]
    assert repaired["images"][0]["original_id"] == text and repaired["categories"][1]["original_id"] == text
    labels = labels_of(repaired)
    assert labels.image_ids == {4: text} and labels.original_category(2) == 2  # no network returns text


@pytest.mark.parametrize("number, text", [(1.5, "1.5"), (2**60, str(2**60)), (-0.5, "-0.5"), (1e300, str(int(1e300)))])
def test_numbers_that_are_no_ids_of_tensorflow_match_their_text(coco_folder, number, text):
    images, coco, _ = coco_folder
    coco["images"][1]["id"], coco["annotations"][2]["image_id"] = number, text
    repaired, counts = repair(coco, str(images))
    assert counts == {"image_id_renumbered": 1}
    assert objects(repaired)[2] == (4, 7, [0, 0, 40, 30])


@pytest.mark.parametrize("value", [None, True, [1], {"$oid": "1"}, "", "  ", float("nan"), float("inf")])
def test_what_is_no_id_matches_nothing(coco_folder, value):
    """Two entries without an id must not meet."""
    images, coco, _ = coco_folder
    coco["images"][1]["id"] = coco["annotations"][2]["image_id"] = value
    repaired, counts = repair(coco, str(images))
    assert counts == {"image_malformed": 1, "annotation_of_unknown_image": 1}
    assert objects(repaired) == EXPECTED[:2]
    assert read_id(value) is None


@pytest.mark.parametrize("first, second", [(1, 1), (1, "1"), ("1", "001"), (1.0, "01"), ("a", " a "), ("é", "e\u0301")])
def test_two_pictures_of_one_id_are_refused(coco_folder, first, second):
    images, coco, _ = coco_folder
    coco["images"][0]["id"], coco["images"][1]["id"] = first, second
    with pytest.raises(UsageError, match="must have its own id") as refused:
        repair(coco, str(images))
    assert f"{first!r} for '1.jpg' and {second!r} for '2.jpg'" in str(refused.value)


@pytest.mark.parametrize("first, second", [(1, 1), (1, "1"), ("1.0", "001"), ("x", "x")])
def test_two_categories_of_one_id_are_refused_unless_they_are_the_same(coco_folder, first, second):
    images, coco, _ = coco_folder
    coco["categories"] += [{"id": first, "name": "cow"}, {"id": second, "name": "sow"}]
    coco["categories"] = coco["categories"][1:]
    with pytest.raises(UsageError, match=f"{first!r} for 'cow' and {second!r} for 'sow'"):
        repair(coco, str(images))
    coco["categories"][1]["name"] = "sow"
    repaired, counts = repair(coco, str(images))
    assert counts["category_duplicate"] == 1 and [c["name"] for c in repaired["categories"]] == ["dog", "sow"]


@pytest.mark.parametrize("name", ["./1.jpg", "1.jpg", ".//1.jpg", ".\\1.jpg", "./././1.jpg"])
@pytest.mark.parametrize("number", [1, "01", 9])
def test_two_entries_of_one_picture_are_one_with_the_boxes_of_both(coco_folder, name, number):
    images, coco, _ = coco_folder
    coco["images"].append({"id": number, "file_name": name, "width": 40, "height": 30})
    first = coco["annotations"][0]
    coco["annotations"] += [
        first | {"id": 8, "image_id": number},
        first | {"id": 9, "image_id": number, "bbox": [1] * 4},
    ]
    repaired, counts = repair(coco, str(images))
    again = number == 9  # a box that both entries state is one box; twice in one entry, it is the data set's affair
    assert counts == {"image_duplicate": 1} | ({"annotation_duplicate": 1} if again else {})
    assert len(repaired["images"]) == 3
    assert objects(repaired) == EXPECTED + [(1, 1, [2, 3, 10, 12])] * (not again) + [(1, 1, [1, 1, 1, 1])]


@pytest.mark.parametrize("value", [1, "1", True, 1.0, "true", "True", " yes ", "Y", "1.0", 2])
def test_flags_that_say_yes(coco_folder, value):
    images, coco, _ = coco_folder
    coco["annotations"][0]["iscrowd"] = value
    repaired, counts = repair(coco, str(images))
    assert counts == {} and repaired["annotations"][0]["iscrowd"] == 1


@pytest.mark.parametrize(
    "value", [0, "0", False, 0.0, None, "false", "False", "no", "", "0.0", "null", float("nan"), ...]
)
def test_flags_that_say_no(coco_folder, value):
    images, coco, _ = coco_folder
    coco["annotations"][1]["iscrowd"] = value
    if value is ...:
        del coco["annotations"][1]["iscrowd"]
    repaired, counts = repair(coco, str(images))
    assert counts == {} and repaired["annotations"][1]["iscrowd"] == 0


@pytest.mark.parametrize("value", ["maybe", [1], {}, "1 0"])
def test_flags_that_say_nothing_are_counted(coco_folder, value):
    images, coco, _ = coco_folder
    coco["annotations"][1]["iscrowd"] = value
    repaired, counts = repair(coco, str(images))
    assert counts == {"iscrowd_malformed": 1} and repaired["annotations"][1]["iscrowd"] == 0
    assert counts.examples == {"iscrowd_malformed": [f"iscrowd {value!r}"]} and read_flag(value) is None


@pytest.mark.parametrize(
    "value, name, counted",
    [
        (None, "7", "category_without_name"),
        ("", "7", "category_without_name"),
        (" \t", "7", "category_without_name"),
        (["dog"], "7", "category_without_name"),
        (True, "7", "category_without_name"),
        (float("nan"), "7", "category_without_name"),
        (3, "3", None),
        (3.0, "3", None),
        (0, "0", None),
        (" dog ", "dog", None),
        ("cat", "cat (7)", "category_name_repeated"),
        ("d" * 300, "d" * 200, None),
    ],
)
def test_names_of_categories(coco_folder, tmp_path, value, name, counted):
    """Never the text None, and never one name for two classes, of which a table by name would lose one."""
    images, coco, write = coco_folder
    original = copy.deepcopy(coco)
    coco["categories"][1]["name"] = value
    repaired, counts = repair(coco, str(images))
    assert [c["name"] for c in repaired["categories"]] == ["cat", name]
    assert counts == ({counted: 1} if counted else {})
    original["categories"][1]["name"] = value
    assert read_labels(write(json.dumps(original))).names[7] == (read_name(value) or "7")  # a file used as it is


@pytest.mark.parametrize("section, key", [("images", "id"), ("categories", "id"), ("annotations", "image_id")])
@pytest.mark.parametrize("value", ["1", 1.0, None, True])
def test_annotations_to_evaluate_by_have_numbers_as_ids(coco_folder, section, key, value):
    _, coco, write = coco_folder
    coco[section][0][key] = value
    with pytest.raises(UsageError, match="must be the instances JSON that prepare_coco wrote"):
        read_labels(write(coco))


@pytest.mark.parametrize("name", [None, "", " ", [], {}])
def test_results_name_no_class_none(coco_folder, name):
    """Annotations may be used that prepare_coco did not write."""
    _, coco, _ = coco_folder
    coco["categories"][1]["name"] = name
    assert list(evaluate(ground_truth(coco), [], [1, 2, 3]).per_class) == ["cat", "7"]


@pytest.mark.parametrize("value", [None, ""])
def test_no_annotation_file_is_said_to_be_none(value):
    with pytest.raises(UsageError, match="Received: nothing$"):
        read_labels(value)


@pytest.mark.parametrize(
    "value, number", [("1.5", 1.5), (" 2e1 ", 20.0), (3, 3.0), ("1_0", None), ("inf", None), ("", None)]
)
def test_numbers(value, number):
    assert read_number(value) == number
