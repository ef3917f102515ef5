"""A training with `init`: it begins with the source's weights, notes them, and goes on when the source is gone."""

import json
import shutil

import numpy as np
import pytest

from dartsminus_tf.config import TrainConfig, load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT
from dartsminus_tf.pretrained.init import read_init
from dartsminus_tf.pretrained.own.places import places_of
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS
from dartsminus_tf.train.runner import run_training
from tests.finished_run import with_digests, without_digests
from tests.legacy.artefacts import unpack

SMALL = ["data.name=digits", "data.batch_size=16", "data.train_limit=32", "data.test_limit=16", "data.image_size=8"]
SMALL += ["runtime.verbose=0", "steps_per_epoch=1", "epochs=2", "data.augment.cutout=0", "drop_path=0"]
SMALL += ["data.validation=none", "weights.learning_rate=1e-7", "weights.min_learning_rate=0", "weights.l2=0"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A finished training."""
    folder = tmp_path_factory.mktemp("old")
    return with_digests(unpack("train_nasbench201", folder) / "train_nasbench201", folder / "source")


def config_of(source, *overrides) -> TrainConfig:
    return load_config(TrainConfig, overrides=[*SMALL, f"init={source}", *overrides])


def test_a_run_begins_with_its_source_and_outlives_it(source, tmp_path, capsys):
    mine = shutil.copytree(source, tmp_path / "source")
    config, path = config_of(mine, "ema_decay=0.5", f"distill.teacher={source}", "freeze_epochs=1"), tmp_path / "run"
    result = run_training(config, path)
    assert f"init {mine}: " in capsys.readouterr().out
    digest = json.loads((source / RESULT).read_text())["digests"][WEIGHTS]
    assert result["init"] == {"source": str(mine), "digest": digest}
    assert json.loads((path / "data.json").read_text()).items() >= {"init": digest, "teacher": digest}.items()
    teacher = {"teacher": str(source), "weight": 0.5, "temperature": 2.0, "digest": digest}
    assert result["distill"].items() >= teacher.items() and result["distill"]["seconds"] > 0
    expected, network = places_of(read_init(str(mine)).network), load_trained(path)[0]
    assert result["preprocessing"] == json.loads((source / RESULT).read_text())["preprocessing"]
    for place, variable in places_of(network).items():
        if variable.trainable:  # it has hardly learned
            np.testing.assert_allclose(variable.numpy(), expected[place].numpy(), atol=1e-4, err_msg=place)

    weights = (path / WEIGHTS).read_bytes()
    (path / RESULT).unlink()
    (mine / WEIGHTS).write_bytes((mine / WEIGHTS).read_bytes() + b"\0")
    without_digests(mine)
    with pytest.raises(UsageError, match=r"began with other data \(init: "):
        run_training(config, path)  # other weights lie there now
    shutil.rmtree(mine)
    with pytest.raises(UsageError, match="no such preset, file or folder"):
        config_of(mine)
    again = run_training(load_config(TrainConfig, [str(path / "config.yaml")]), path)
    assert again | {"seconds": 0} == result | {"seconds": 0} and (path / WEIGHTS).read_bytes() == weights


def test_genotypes_of_other_families_are_refused(source, tmp_path):
    other = ["genotype=k3e6,k3e6|k3e6|k3e6|k3e6|k3e6|k3e6", "stem=imagenet", "auxiliary_weight=0"]
    with pytest.raises(UsageError, match="of its own genotype"):
        run_training(config_of(source, *other), tmp_path / "x")
    assert not (tmp_path / "x").exists()
