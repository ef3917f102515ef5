"""A run of another number of epochs is another run: refused with the way to do it, finished or not."""

import pytest

from dartsminus_tf.cli import quickstart, search, train
from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunDirectory, RunKind
from tests.conftest import TINY_SEARCH

NEW_RUN = "its schedules follow its length, so another length is a new run: choose another --model_dir, or the config"
KINDS = {"search": (search, SearchConfig, TINY_SEARCH), "train": (train, TrainConfig, ["epochs=2", "channels=4"])}


@pytest.mark.parametrize("epochs", [1, 4, 600])
@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_epochs(kind, is_finished, epochs, tmp_path, capsys):
    command, config, overrides = KINDS[kind]
    with RunDirectory(tmp_path / "run", load_config(config, overrides=overrides)) as run:
        if is_finished:
            run.write_result({"kind": kind})
    before = sorted((path, path.read_bytes()) for path in run.path.iterdir())
    flags = [f"--params_override={override}" for override in (*overrides, f"epochs={epochs}")]
    assert command.run(["tool", f"--model_dir={run.path}", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"(it differs in epochs (2 -> {epochs})): {NEW_RUN}" in line and str(run.path) in line
    assert sorted((path, path.read_bytes()) for path in run.path.iterdir()) == before


@pytest.mark.parametrize(
    ("before", "now", "is_length"),
    [
        ({"epochs": 2}, {"epochs": 3}, True),
        ({"epochs": 2, "layers": 3}, {"epochs": 3, "layers": 4}, False),
        ({"layers": 3}, {"layers": 4}, False),
        ({"runtime": {"seed": 1}, "epochs": 2}, {"runtime": {"seed": 2}, "epochs": 2}, False),
    ],
)
def test_the_way_to_do_it_is_for_lengths_alone(before, now, is_length, tmp_path):
    with pytest.raises(UsageError) as refused:
        RunKind().require_same(before, now, tmp_path)
    assert (NEW_RUN in str(refused.value)) is is_length


@pytest.mark.parametrize("stage", ["search", "train"])
def test_stages_of_a_quickstart(stage, tmp_path):
    with pytest.raises(UsageError, match=NEW_RUN):
        quickstart.KIND.require_same({stage: {"epochs": 2}}, {stage: {"epochs": 3}}, tmp_path)
