"""`dartsminus-slim`: from a finished training to a network of a share of its cost, for the same data."""

import json

import pytest

from dartsminus_tf.cli import slim
from dartsminus_tf.export.count import count
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT
from dartsminus_tf.spaces.find import find_genotype
from dartsminus_tf.studies.slim_settings import slim_settings
from tests.conftest import ROOT
from tests.mobile_runs import DEPTHS, SEEN, finished_training, network

CONFIG = str(ROOT / "configs" / "slim_folder.yaml")
COST = 500_000  # what the run says of itself


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished training of a small network on the ten digits, its cost being COST."""
    return finished_training(tmp_path_factory.mktemp("whole") / "run", network(num_classes=10), COST)


def test_the_search_and_the_training_are_the_networks_own(whole, tmp_path):
    settings = slim_settings(whole, tmp_path / "half", [CONFIG], ["train.epochs=7"])
    search, train = settings.search, settings.train
    assert search.space == "mobilenet" and search.mobile.depths == DEPTHS and search.mobile.affine
    assert search.init == search.distill.teacher == train.distill.teacher == str(whole)
    assert search.flops.target_mflops == pytest.approx(COST / 2e6) and search.flops.at_most
    assert list(search.data.mean) == SEEN["mean"] and search.data.image_size == train.data.image_size == 32
    assert train.genotype == train.init == str(tmp_path / "half" / "search")
    assert train.epochs == 7 and train.freeze_epochs == 0


@pytest.mark.parametrize("share", [0.25, 0.8])
def test_the_share(whole, tmp_path, share):
    settings = slim_settings(whole, tmp_path, [CONFIG], [f"share={share}"])
    assert settings.search.flops.target_mflops == pytest.approx(share * COST / 1e6)


def test_no_teacher(whole, tmp_path):
    settings = slim_settings(whole, tmp_path, [CONFIG], ["search.distill=null", "train.distill=null"])
    assert settings.search.distill is None and settings.train.distill is None


@pytest.mark.parametrize(
    ("override", "rule"),
    [("share=1.5", "share"), ("share=half", "share"), ("distill=null", "Unknown"), ("x=1", "Unknown")],
)
def test_what_cannot_be_is_refused(whole, tmp_path, override, rule):
    with pytest.raises(UsageError, match=rule):
        slim_settings(whole, tmp_path, [CONFIG], [override])


def test_networks_of_cells_are_refused(run, tmp_path, capsys):
    assert slim.run(["slim", f"--run_dir={run}", f"--model_dir={tmp_path / 'half'}"]) == 2
    assert "No search starts from networks of family darts" in capsys.readouterr().err
    assert not (tmp_path / "half").exists()


SHORT = [
    *("search.epochs=2", "search.alpha_start_epoch=1", "search.steps_per_epoch=1", "train.epochs=1"),
    *("train.steps_per_epoch=1", "train.data.validation=none", "share=0.6"),
    *(
        f"{part}.data.{key}"
        for part in ("search", "train")
        for key in ("train_limit=64", "test_limit=16", "batch_size=8")
    ),
]


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    model = network(num_classes=10)
    whole = finished_training(tmp_path / "whole", model, count(model)["multiply_adds"])
    command = ["slim", f"--run_dir={whole}", f"--config_file={CONFIG}", f"--model_dir={tmp_path / 'half'}", "--quiet"]
    command += [f"--params_override={override}" for override in SHORT]
    assert slim.run(command) == 0
    line = capsys.readouterr().out.strip().splitlines()[-1]
    found = json.loads((tmp_path / "half" / "train" / RESULT).read_text())
    share = found["multiply_adds"] / count(model)["multiply_adds"]
    assert f"{share:.3f} of the whole network's; test accuracy {found['test_accuracy']:.4f}" in line and share <= 0.6
    assert find_genotype(str(tmp_path / "half" / "search")).genotype.to_dict() == found["genotype"]
    assert found["init"]["source"] == str(tmp_path / "half" / "search")
    assert found["distill"]["teacher"] == str(whole)
    (tmp_path / "half" / "notes.txt").touch()
    assert slim.run(command) == 2
    assert "must be new, or hold search and train alone" in capsys.readouterr().err
