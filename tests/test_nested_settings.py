"""Settings out of files and overrides, as search and detection read them; no TensorFlow."""

import pytest

from dartsminus_tf.foundation.settings import read_mapping, read_settings
from dartsminus_tf.foundation.yaml_text import dump_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("a.b=1", {"a": {"b": 1}}),
        ("a=1, b.c=[1, 2], d=x", {"a": 1, "b": {"c": [1, 2]}, "d": "x"}),
        ("rate=1e-4,on=true,none=null", {"rate": 1e-4, "on": True, "none": None}),
        ("files=x*.tfrecord,y*.tfrecord,rest=2.5", {"files": "x*.tfrecord,y*.tfrecord", "rest": 2.5}),
        ("text='a,b=c',rest=2", {"text": "a,b=c", "rest": 2}),
        ("text=[1, 'a],b=c'],rest=2", {"text": [1, "a],b=c"], "rest": 2}),
        ("folder=o'neil/x,rest=2", {"folder": "o'neil/x", "rest": 2}),
        ("ema={average_decay: 0.9, name: x}, a.b=1", {"ema": {"average_decay": 0.9, "name": "x"}, "a": {"b": 1}}),
        ("saved_model=runs/a-b_c/model.v1", {"saved_model": "runs/a-b_c/model.v1"}),
        ("genotype='|a~0|+|b~0|c~1|',epochs=2", {"genotype": "|a~0|+|b~0|c~1|", "epochs": 2}),
        ("", {}),
    ],
)
def test_overrides(text, settings):
    assert read_settings([], [text]) == settings


@pytest.mark.parametrize("text", ["a", "=3", "a=[1", "a=[1]]", "a..b=1", ".".join("a" * 30) + "=1"])
def test_malformed_overrides(text):
    with pytest.raises(ValueError, match="override") as error:
        read_settings([], [text])
    assert "\n" not in str(error.value)


def test_the_later_wins_and_mappings_are_merged(tmp_path):
    for name, content in (("one", "a: {b: 1, c: 2}\nd: 3\n"), ("two", "a: {b: 4}\n"), ("empty", "# nothing\n")):
        (tmp_path / name).write_text(content)
    files = [tmp_path / name for name in ("one", "two", "empty")]
    assert read_settings(files, ["a.c=5", "a.c=6,d={e: 7}"]) == {"a": {"b": 4, "c": 6}, "d": {"e": 7}}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"- a\n", "keys and values"), (b"a: [1\n", "not valid YAML"), (b"text", "keys and values"), (b"\xff", "no|not")],
)
def test_files_that_are_no_mapping(tmp_path, content, message):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_mapping(tmp_path / "bad.yaml")
    assert "bad.yaml" in str(error.value)
    with pytest.raises(ValueError, match="No such file"):
        read_mapping(tmp_path / "absent.yaml")


@pytest.mark.parametrize("value", ["1e-4", "-2E5", "1.5e3", 1e-4, 1e-7, 2e20, "e5", "1e", "0x1e5"])
def test_numbers_and_texts_that_look_like_them_survive(value):
    assert parse_yaml(dump_yaml({"a": value})) == {"a": value}
