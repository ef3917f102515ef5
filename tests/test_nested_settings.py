"""Settings out of files and overrides, as search and detection read them; no TensorFlow."""

import re

import pytest

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.settings import lookup, read_mapping, read_settings
from dartsminus_tf.foundation.config.typed import ModelKeys, load_config
from dartsminus_tf.foundation.config.yaml_text import dump_yaml, parse_yaml
from dartsminus_tf.foundation.errors import UsageError


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


# YAML 1.2's core schema, value by value; YAML 1.1 reads several of them as something else.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("-007", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_0", "1_0"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("TRUE", True),
        ("Null", None),
        ("~", None),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("5.", 5.0),
        ("2026-01-31", "2026-01-31"),
        ("[010, on, 1:2]", [10, "on", "1:2"]),
    ],
)
def test_scalars_of_the_core_schema(text, value):
    found = parse_yaml(text)
    assert found == value and type(found) is type(value)
    assert parse_yaml(dump_yaml({"a": text})) == {"a": text}
    assert parse_yaml(dump_yaml({"a": value})) == {"a": value}


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "{a: 1, a: 1}", "x: {k: 1, 'k': 2}", "- {a: 1, a: 2}"])
def test_a_key_stands_once(text):
    with pytest.raises(ValueError, match="stands twice"):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("folder=my pictures #2", "write folder='my pictures #2' for a text"),
        ("folder=a: b", "write folder='a: b' for a text"),
        ("a.b=it's: so", "write a.b='it''s: so' for a text"),
        ("name=x:", "write name='x:' for a text"),
    ],
)
def test_what_may_be_meant_in_two_ways_is_refused_with_the_form_that_is_not(text, shown):
    with pytest.raises(UsageError, match=re.escape(shown)):
        read_settings([], [text])
    key, _, quoted = re.search(r"write (\S+?)(=)('.*') for a text", shown).groups()
    assert lookup(read_settings([], [f"{key}={quoted}"]), key) == text.partition("=")[2]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("data.data_dir=my pictures #2", {"data": {"data_dir": "my pictures #2"}}),
        ("data.data_dir=a: b,epochs=010", {"data": {"data_dir": "a: b"}, "epochs": 10}),
        ("data.data_dir=010", {"data": {"data_dir": "010"}}),
        ("data.data_dir=true", {"data": {"data_dir": "true"}}),
        ("data.data_dir=~/pictures", {"data": {"data_dir": "~/pictures"}}),
        ("data.data_dir=null", {"data": {"data_dir": None}}),
        ("data.data_dir='a,epochs=3'", {"data": {"data_dir": "a,epochs=3"}}),
        ("runtime.nasbench201_table=a #b", {"runtime": {"accuracy_table": "a #b"}}),
        ("data.image_size=64", {"data": {"image_size": 64}}),
    ],
)
def test_where_a_key_holds_text_it_is_taken_as_it_stands(text, settings):
    assert read_settings([], [text], ModelKeys(SearchConfig)) == settings


def test_a_comma_before_what_is_no_key_is_not_guessed_at():
    message = re.escape(
        "Unknown config key 'x'; if it belongs to the value before it, quote that: data.data_dir='a,x=b'"
    )
    with pytest.raises(UsageError, match=message):
        read_settings([], ["data.data_dir=a,x=b"], ModelKeys(SearchConfig))


@pytest.mark.parametrize(
    "override", ["epochs=1_0", "epochs='10'", "weights.l2=1_0.5", "data.mean=['0.1', 0.2, 0.3],data.std=[1, 1, 1]"]
)
def test_a_text_is_no_number(override):
    with pytest.raises(UsageError, match="should be a"):
        load_config(SearchConfig, overrides=[override])


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
