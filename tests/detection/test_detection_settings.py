"""Config files and overrides before any TensorFlow."""

from pathlib import Path

import pytest

from dartsminus_tf.foundation.config.settings import read_settings
from dartsminus_tf.foundation.errors import UsageError
from detection.run.directory import DETECTOR


def test_later_files_and_overrides_win(tmp_path):
    (tmp_path / "one.yaml").write_text("a: {b: 1, c: 2}\nrate: 1e-3\n", encoding="utf-8")
    (tmp_path / "two.yaml").write_text("a: {b: 3}\n", encoding="utf-8")
    files = [str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")]
    assert read_settings(files, ["a.c=5", "d.e=x"]) == {
        "a": {"b": 3, "c": 5},
        "rate": 1e-3,
        "d": {"e": "x"},
    }


@pytest.mark.parametrize("content", ["- a\n", "a: [1\n", "text"])
def test_files_that_are_no_mapping(tmp_path, content):
    (tmp_path / "bad.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.yaml"):
        read_settings([str(tmp_path / "bad.yaml")], [])


def test_a_run_may_be_made_longer_but_not_changed():
    saved = {"trainer": {"train_steps": 10, "rate": 0.1}, "task": {"size": [1, 2]}}
    DETECTOR.require_same(saved, {"trainer": {"train_steps": 20, "rate": 0.1}, "task": {"size": (1, 2)}}, Path("d"))
    with pytest.raises(UsageError, match=r"trainer.rate \(0.1 -> 0.2\)"):
        DETECTOR.require_same(saved, {"trainer": {"train_steps": 10, "rate": 0.2}, "task": {"size": [1, 2]}}, Path("d"))


def test_only_the_named_sections_are_compared():
    saved, params = {"task": {"model": {"a": 1}, "data": 2}}, {"task": {"model": {"a": 1}, "data": 3}}
    DETECTOR.require_same(saved, params, Path("d"), sections=("task.model.",))
    with pytest.raises(UsageError, match="task.data"):
        DETECTOR.require_same(saved, params, Path("d"))
