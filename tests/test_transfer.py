"""The study of transfer: rows differ in genotype, init and teacher alone, what it says of them; a small one whole."""

import csv
import json
from collections.abc import Iterator

import numpy as np
import pytest

from dartsminus_tf.analysis import modes
from dartsminus_tf.foundation.config.typed import dump_config, load_config
from dartsminus_tf.foundation.config.yaml_text import parse_yaml
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.report.request import Request
from dartsminus_tf.studies.chains import Plan
from dartsminus_tf.studies.settings import TransferSettings
from dartsminus_tf.studies.transfer import grouped, verdict
from tests.conftest import ROOT

CONFIG = ROOT / "configs" / "transfer_cifar10_cpu.yaml"
COST = 70_526_432


@pytest.fixture(scope="module")
def settings() -> TransferSettings:
    return load_config(TransferSettings, [CONFIG])


@pytest.fixture
def plan(settings, tmp_path) -> Plan:
    return Plan(settings, tmp_path)


def flat(tree, name: str = "") -> Iterator[tuple[str, object]]:
    """(dotted key, value) of every leaf of a config."""
    if isinstance(tree, dict) and name not in ("genotype",):
        for key, value in tree.items():
            yield from flat(value, f"{name}.{key}".lstrip("."))
    else:
        yield name, json.dumps(tree)


def differing(one, other) -> set[str]:
    left, right = (dict(flat(parse_yaml(dump_config(config)))) for config in (one, other))
    return {key for key in left | right if left.get(key) != right.get(key)}


def test_rows_and_their_order(plan):
    chains = list(plan.chains())
    assert [chain.name for chain in chains] == [
        "whole",
        *("searched_seed_1", "searched_seed_2", "searched_seed_3"),
        *("random_0", "random_1", "random_2", "random_3", "random_4"),
        *("plain_seed_1", "plain_seed_2", "plain_seed_3"),
        "scratch_seed_1",
        "untaught_seed_1",
    ]
    before = set()
    for chain in chains:
        before.add(chain.path)
        assert chain.source in before  # what it takes weights from is there by then


def test_trainings_differ_in_genotype_init_and_teacher_alone(plan):
    whole, *others = plan.chains()
    reference = plan.training(whole)
    assert reference.distill is None and reference.init == "efficientnet_lite0_imagenet"
    for chain in others:
        config = plan.training(chain, {"stages": []} if chain.row == "random" else None)
        teacher = {key for key in differing(reference, config) if key.startswith("distill")}
        assert differing(reference, config) - teacher <= {"genotype", "init", "runtime.seed"}
        assert config.runtime.seed == chain.seed
        assert config.init == str(chain.source / "search")
        if chain.row != "random":
            assert config.genotype == str(chain.path / "search")
        taught = config.distill is not None
        assert taught == (chain.row != "untaught")
        assert not taught or config.distill.teacher == str(plan.whole / "train")


def test_searches_differ_in_init_teacher_and_method_alone(plan):
    chains = [chain for chain in plan.chains() if chain.searches]
    reference = plan.search(chains[0], COST)
    assert reference.method == "darts-" and reference.beta.initial == 1
    assert reference.flops.target_mflops == pytest.approx(COST / 2e6) and reference.flops.at_most
    assert reference.init == reference.distill.teacher == str(plan.whole / "train")
    allowed = {"searched": set(), "plain": {"method"}, "scratch": {"init"}, "untaught": {"distill"}}
    for chain in chains:
        config = plan.search(chain, COST)
        found = {key.split(".")[0] for key in differing(reference, config) - {"runtime.seed"}}
        assert found == allowed[chain.row] and config.runtime.seed == chain.seed
    assert plan.search(chains[-2], COST).init is None and plan.search(chains[-1], COST).distill is None


def test_every_row_is_trained_equally_long_and_the_last_epoch_counts(settings):
    assert settings.train.data.validation == "none" and not settings.train.exports_best
    assert settings.seeds == (1, 2, 3) and settings.random_genotypes == 5


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("search.flops=null", "search.flops must be given"),
        ("train.init=null", "train.init must be given"),
        ("train.distill=null", "train.distill must be given"),
        ("seeds=[1,1]", "seeds must be different"),
        ("search.data.image_size=64", "one data.image_size"),
    ],
)
def test_what_makes_no_study_is_refused(override, rule):
    with pytest.raises(UsageError, match=rule):
        load_config(TransferSettings, [CONFIG], [override])


def row(name: str, accuracy: float, seed: int = 1) -> dict:
    numbers = {"multiply_adds": 50, "share": 0.5, "parameters": 10, "milliseconds": 1.0}
    return {
        "row": name,
        "seed": seed,
        "accuracy": accuracy,
        **numbers,
        "search_seconds": None if name == "whole" else 2.0,
        "train_seconds": 3.0,
        "genotype": "",
    }


ROWS = [row("whole", 0.9), row("searched", 0.88), row("searched", 0.90, 2), row("random", 0.85), row("random", 0.87)]
ROWS += [row("plain", 0.8), row("scratch", 0.7), row("untaught", 0.6)]


def test_what_it_says():
    deviation = np.std([85, 87], ddof=1)
    assert verdict(ROWS) == (
        "The searched networks are +1.00 points below the whole one and +3.00 above the random ones, which is more "
        f"than those differ among themselves (standard deviation {deviation:.2f})."
    )
    worse = [*ROWS[:3], row("random", 0.88), row("random", 0.90), *ROWS[5:]]
    assert "+0.00 above the random ones, which is no more than" in verdict(worse)
    table = grouped(ROWS)
    assert [line["networks"] for line in table] == [1, 2, 2, 1, 1, 1]
    assert table[1]["accuracy"] == "0.8900 +- 0.0141" and table[0]["search_seconds"] is None


@pytest.mark.slow
def test_a_whole_small_study_and_what_is_finished_stays(tmp_path):
    pytest.importorskip("ai_edge_litert")
    short = [f"{run}.data.{key}" for run in ("search", "train") for key in ("train_limit=128", "test_limit=32")]
    short += [f"{run}.data.{key}" for run in ("search", "train") for key in ("image_size=32", "name=digits")]
    short += ["search.epochs=2", "search.steps_per_epoch=1", "train.epochs=1", "train.steps_per_epoch=1"]
    overrides = [*short, "seeds=[1]", "random_genotypes=1", "search.data.batch_size=8", "train.data.batch_size=8"]
    settings = load_config(TransferSettings, [CONFIG], overrides)
    request = Request([], tmp_path, settings)
    assert modes.run("transfer", request) == f"transfer finished: {tmp_path / 'report.html'}"
    with open(tmp_path / "transfer.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [found["row"] for found in rows] == ["whole", "searched", "random", "plain", "scratch", "untaught"]
    for found in rows[1:]:
        assert float(found["share"]) <= 0.51
    assert abs(float(rows[2]["multiply_adds"]) / float(rows[1]["multiply_adds"]) - 1) <= 0.02
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.weights.h5")}
    assert len(times) == 6
    modes.run("transfer", request)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.weights.h5")} == times
