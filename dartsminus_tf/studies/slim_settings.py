"""From the config of a finished training to those of a search and a training of a network of a share of its cost."""

from collections.abc import Sequence
from pathlib import Path

from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.settings import read_mapping, read_settings
from dartsminus_tf.foundation.config.typed import ModelKeys, OpenFraction, Strict, load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.own.finished import finished_training
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.genotype import Genotype

SHARE = 0.5
OF_TRAININGS = ("validation",)  # keys of a training's data that a search's lacks


class SlimSettings(Strict):
    """A network of a share of another's cost, for the same data; see `studies.slim`.

    Args:
        share: of the network's multiply-adds, at its own image size.
        search: of the search. Space, `init`, teacher, data and cost are given by the network and the share.
        train: of the training of what is found. It is the network's own, without frozen epochs and with the teacher.
    """

    share: OpenFraction = SHARE
    search: SearchConfig
    train: TrainConfig


def slim_settings(
    run_dir: str | Path, model_dir: str | Path, files: Sequence[str] = (), overrides: Sequence[str] = ()
) -> SlimSettings:
    """The settings for the network of the finished training in `run_dir`, the rest from `files` and `overrides`.

    Raises:
        UsageError: where `run_dir` is no finished training, its family has no supernets that start from weights, or
            the settings cannot be.
    """
    done = finished_training(run_dir)
    family = family_of(Genotype.from_dict(done.result["genotype"]))
    if family.inherit_supernet is None:
        raise UsageError(f"No search starts from networks of family {family.name}. Received: {run_dir}")
    share = read_settings(files, overrides, ModelKeys(SlimSettings)).get("share", SHARE)
    cost = share * done.result["multiply_adds"] / 1e6 if isinstance(share, float) else 1.0  # refused with the share
    whole, own = str(Path(run_dir).resolve()), read_mapping(done.path / "config.yaml")
    distill = {"teacher": whole}
    search = {
        "space": family.spaces[0].name,
        "init": whole,
        "distill": distill,
        "flops": {"target_mflops": cost, "at_most": True},
        "runtime": own.get("runtime", {}),
        "data": {key: value for key, value in own["data"].items() if key not in OF_TRAININGS and value is not None},
    }
    found = str(Path(model_dir).resolve() / "search")
    train = {**own, "init": found, "genotype": found, "distill": distill, "freeze_epochs": 0}
    return load_config(SlimSettings, files, overrides, {"share": share, "search": search, "train": train})
