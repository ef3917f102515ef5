"""`~` and `$VAR` in configs, overrides and flags of both packages: expanded, or refused where they mean nothing."""

import os
import re

import pytest

from dartsminus_tf.cli import analyze, export, quickstart, search, train
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.paths import expanded
from dartsminus_tf.foundation.config.settings import read_settings
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.command import parse_flags
from dartsminus_tf.spaces.find import find_genotype
from detection.cli import detect, prepare_coco
from detection.run.directory import PATHS, PathKeys, with_absolute_paths
from detection.run.directory import lookup as value_of

FLAGS = [
    *((command, flag) for command in (search, train, quickstart, analyze) for flag in ("model_dir", "config_file")),
    *((search, "nasbench201_table"), (search, "accuracy_table"), (analyze, "run_dir")),
    *((export, "model_dir"), (export, "export_dir")),
    *((detect, flag) for flag in ("model_dir", "config_file", "input", "export_dir")),
    *((prepare_coco, flag) for flag in ("image_dir", "annotations", "output_dir")),
]


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PICTURES", "/data/my pictures")
    monkeypatch.delenv("NOWHERE", raising=False)
    return str(tmp_path)


WRITTEN = ["~", "~/a", "$PICTURES", "$PICTURES/b", "${PICTURES}s/c", "x/$PICTURES", "plain/a~b", "~/$PICTURES"]


@pytest.mark.parametrize("path", WRITTEN)
@pytest.mark.parametrize(("command", "flag"), FLAGS, ids=lambda value: getattr(value, "__name__", value).split(".")[-1])
def test_flags(command, flag, path, home):
    meant = os.path.expandvars(path.replace("~", home, 1) if path.startswith("~") else path)
    value = getattr(parse_flags(["tool", f"--{flag}={path}"], command.define_flags), flag)
    assert value == (meant if isinstance(value, str) else [meant])


@pytest.mark.parametrize("path", WRITTEN)
def test_keys(path, home):
    meant = os.path.expandvars(path.replace("~", home, 1) if path.startswith("~") else path)
    overrides = ["space=nasbench201", f"data.data_dir={path}", f"runtime.accuracy_table={path}"]
    config = load_config(SearchConfig, overrides=overrides)
    meant = os.path.abspath(meant)
    assert config.data.data_dir == config.runtime.accuracy_table == meant
    settings = with_absolute_paths(read_settings([], [f"{key}={path}" for key in PATHS], PathKeys()))
    assert {value_of(settings, key) for key in PATHS} == {meant}


def test_lists_and_patterns_of_a_detector(home):
    key = "task.train_data.input_path"
    for written, meant in (
        ("~/a*.tfrecord,$PICTURES/b #2*", f"{home}/a*.tfrecord,/data/my pictures/b #2*"),
        ("[~/a, $PICTURES]", [f"{home}/a", "/data/my pictures"]),
    ):
        assert value_of(with_absolute_paths(read_settings([], [f"{key}={written}"], PathKeys())), key) == meant


@pytest.mark.parametrize("path", ["$NOWHERE/x", "${NOWHERE}", "~nobody_of_that_name/x", "a/$NOWHERE"])
def test_what_means_nothing_is_refused(path, tmp_path):
    for refuse in (
        lambda: expanded(path),
        lambda: load_config(SearchConfig, overrides=[f"data.data_dir={path}"]),
        lambda: find_genotype(path),
        lambda: parse_flags(["tool", f"--model_dir={path}"], search.define_flags),
    ):
        with pytest.raises(UsageError, match=re.escape("which there is not")):
            refuse()


def test_a_path_that_is_there_is_kept_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$NOWHERE").mkdir()
    assert expanded("$NOWHERE") == "$NOWHERE"
