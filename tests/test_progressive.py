"""P-DARTS: which candidates stay, the cap and the dropout on skips, alpha's late start, stages, an interruption."""

import csv
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.analysis.restored import RestoredSearch
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.mixed.edges import Edge
from dartsminus_tf.mixed.graph import MixedEdges
from dartsminus_tf.mixed.operation import NodeSum, Source, Weight
from dartsminus_tf.mixed.skip_dropout import SkipDropout
from dartsminus_tf.search.bilevel import AlphaStart, BilevelSearch
from dartsminus_tf.search.history import SearchHistory
from dartsminus_tf.search.runner import run_search
from dartsminus_tf.search.skip_dropout import skip_dropout_rate
from dartsminus_tf.spaces.build import build_supernet
from dartsminus_tf.spaces.darts.derive import cap_skips, derive, derive_capped
from dartsminus_tf.spaces.families import get_space
from tests.conftest import TINY_SEARCH
from tests.test_bilevel import LinearSupernet

STAGES = [
    {"layers": 3, "epochs": 2, "num_candidates": 3, "skip_dropout": 0.5},
    {"layers": 4, "epochs": 2, "num_candidates": 2, "skip_dropout": 0.25},
]
TINY = [*TINY_SEARCH, "space=s3", "steps_per_epoch=1", "alpha_start_epoch=1"]
PROGRESSIVE = [*TINY, "progressive=" + json.dumps({"stages": STAGES, "skip_cap": 1})]


def alphas_of(space, seed=0):
    rng = np.random.default_rng(seed)
    return {kind: rng.normal(size=(14, len(space.candidates["normal"][0]))) for kind in ("normal", "reduce")}


@pytest.mark.parametrize("name", ["s0", "s1", "s2", "s3", "s4"])
def test_every_edge_keeps_its_strongest_candidates(name):
    space = get_space(name)
    alphas = alphas_of(space)
    count = max(2, len(space.candidates["normal"][0]) // 2)
    smaller = space.restricted(alphas, count)
    for kind in ("normal", "reduce"):
        for names, kept, row in zip(space.candidates[kind], smaller.candidates[kind], alphas[kind], strict=True):
            dropped = [names.index(n) for n in names if n not in kept]
            columns = [names.index(n) for n in kept]
            assert len(kept) == count and columns == sorted(columns)
            assert not dropped or min(row[columns]) > max(row[dropped])
    net = build_supernet(smaller, channels=2, layers=3)
    net.build((1, 8, 8, 3))
    assert net.alphas["normal"].shape == (14, count)
    net.genotype().check_primitives(space.primitives, name)


def test_ties_keep_the_earlier_candidate():
    space = get_space("s0")
    smaller = space.restricted({kind: np.zeros((14, 8)) for kind in ("normal", "reduce")}, 3)
    assert set(sum(smaller.candidates.values(), ())) == {("none", "max_pool_3x3", "avg_pool_3x3")}


@pytest.mark.parametrize("count", [1, 4])
def test_impossible_counts_are_refused(count):
    space = get_space("s3")
    with pytest.raises(UsageError, match=r"2\.\.3 in space s3\. Received"):
        space.restricted(alphas_of(space), count)


def test_cap_by_hand():
    """Four edges' skips weigh most; the cap takes the weakest of the chosen ones first and derives anew."""
    primitives = [("skip_connect", "sep_conv_3x3")] * 14
    weights = np.tile([0.1, 0.5], (14, 1))
    for row, weight in ((0, 0.9), (1, 0.6), (2, 0.8), (9, 0.7)):
        weights[row, 0] = weight
    uncapped = cap_skips(weights, primitives, 8)
    assert uncapped[:4] == (("skip_connect", 0), ("skip_connect", 1), ("skip_connect", 0), ("sep_conv_3x3", 1))
    assert uncapped[6:] == (("skip_connect", 0), ("sep_conv_3x3", 1))
    capped = cap_skips(weights, primitives, 2)
    assert capped[:4] == (("skip_connect", 0), ("sep_conv_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 1))
    assert capped[6:] == (("sep_conv_3x3", 0), ("sep_conv_3x3", 1))
    assert sum(name == "skip_connect" for name, _ in cap_skips(weights, primitives, 0)) == 0


def test_cap_ends_where_nothing_else_is_left():
    primitives = [("none", "skip_connect")] * 14
    entries = cap_skips(np.full((14, 2), 0.5), primitives, 0)
    assert len(entries) == 8 and {name for name, _ in entries} == {"skip_connect"}


def test_cap_leaves_the_reduction_cell_alone():
    space = get_space("s2")
    alphas = {kind: np.tile([1.0, 0.0], (14, 1)) for kind in ("normal", "reduce")}
    assert derive_capped(space, alphas, None) == (derive(space, alphas), True)
    capped, holds = derive_capped(space, alphas, 2)
    assert holds and capped.count("skip_connect") == {"normal": 2, "reduce": 8}


def test_skip_dropout_rate_by_hand():
    assert skip_dropout_rate(0.5, 0, 25, 10) == pytest.approx(0.48)
    assert skip_dropout_rate(0.5, 9, 25, 10) == pytest.approx(0.3)
    assert skip_dropout_rate(0.5, 10, 25, 10) == 0.5
    assert skip_dropout_rate(0.5, 15, 25, 10) == pytest.approx(0.5 / math.e)
    assert skip_dropout_rate(0.5, 0, 25) == 0.5


def test_dropout_hits_the_candidate_and_never_the_auxiliary_skip():
    dropout = SkipDropout(0.25)
    dropout.build()
    edges = MixedEdges([Edge(0, 2, 1)], [("none", "skip_connect")], 4, skip_dropout=dropout)
    edges.build()
    x = tf.random.stateless_normal([8, 8, 8, 4], [1, 2])

    def output(skip, beta, training):
        mixed, _ = edges.open(training)
        total = NodeSum()
        none, skip, beta = (Weight(tf.constant(value), tf.fill([4], value)) for value in (0.0, skip, beta))
        total.add(*mixed[0](Source(x, 1), [none, skip], beta))
        return total.total().numpy()

    x_values = x.numpy()
    np.testing.assert_array_equal(output(1.0, 0.0, training=False), x_values)
    np.testing.assert_array_equal(output(0.0, 1.0, training=True), x_values)
    dropped = output(1.0, 0.0, training=True)
    zero = dropped == 0
    assert 0.2 < zero.mean() < 0.3
    np.testing.assert_allclose(dropped[~zero], x_values[~zero] / 0.75, rtol=1e-6)
    assert (output(1.0, 0.0, training=True) != dropped).any()
    dropout.rate.assign(0.0)
    np.testing.assert_array_equal(output(1.0, 0.0, training=True), x_values)


def test_alpha_waits_for_its_epoch():
    x, y = tf.random.stateless_normal([6, 3], [1, 2]), tf.constant([0, 1, 1, 0, 1, 0])
    data = tf.data.Dataset.from_tensors(((x, y), (x, y))).repeat()
    model = BilevelSearch(LinearSupernet())
    model.build((6, 3))
    model.compile(keras.optimizers.SGD(0.5), keras.optimizers.SGD(0.25))
    seen = []
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((model.supernet.alpha.numpy().copy(), "alpha_loss" in logs))
    )
    model.fit(data, steps_per_epoch=2, epochs=2, verbose=0, shuffle=False, callbacks=[AlphaStart(1), record])
    assert not seen[0][0].any() and not seen[0][1]
    assert seen[1][0].all() and seen[1][1]


def without_seconds(tree):
    if isinstance(tree, dict):
        return {key: without_seconds(value) for key, value in tree.items() if key != "seconds"}
    return [without_seconds(item) for item in tree] if isinstance(tree, list) else tree


@pytest.mark.parametrize("method", ["darts", pytest.param("darts-", marks=pytest.mark.slow)])
def test_stages_and_an_interruption_in_the_second(method, tmp_path):
    config = load_config(SearchConfig, overrides=[*PROGRESSIVE, f"method={method}"])
    path = tmp_path / "run"
    result = run_search(config, path)
    assert json.loads((path / "result.json").read_text()) == result == run_search(config, path)
    assert json.loads((path / "genotype.json").read_text()) == result["genotype"]
    assert result["epochs"] == 4 and len(result["stages"]) == 2
    kept = json.loads((path / "stage_2" / "space.json").read_text())
    with np.load(path / "stage_1" / "alphas" / "epoch_0001.npz") as alphas:
        expected = get_space("s3").restricted(alphas, 2)
    assert kept == {kind: [list(names) for names in edges] for kind, edges in expected.candidates.items()}
    with np.load(path / "stage_2" / "alphas" / "epoch_0001.npz") as alphas:
        assert result["genotype"] == derive_capped(expected, alphas, 1)[0].to_dict()
    rows = list(csv.DictReader((path / "stage_2" / "metrics.csv").open()))
    assert [float(row["skip_dropout"]) for row in rows] == [0.125, 0.25] and rows[0]["alpha_loss"] == ""
    assert [float(row["beta"]) for row in rows] == ([1.0, 0.5] if method == "darts-" else [0.0, 0.0])
    second = RestoredSearch(SearchHistory(path / "stage_2", "second"))  # in the space that the first stage left
    assert second.model.supernet.genotype() == second.history.genotypes[-1]

    if method == "darts-":
        first = (path / "stage_1" / "result.json").stat().st_mtime_ns
        newest = max((path / "stage_2" / "checkpoints").glob("epoch_*.npz"))
        for file in (path / "result.json", path / "genotype.json", path / "stage_2" / "result.json", newest):
            file.unlink()
        assert without_seconds(run_search(config, path)) == without_seconds(result)
        again = list(csv.DictReader((path / "stage_2" / "metrics.csv").open()))
        assert [row | {"seconds": ""} for row in again] == [row | {"seconds": ""} for row in rows]
        assert (path / "stage_1" / "result.json").stat().st_mtime_ns == first


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{**STAGES[0], "num_candidates": 2}], r"must be 3\. Received: 2"),
        ([STAGES[1], STAGES[0]], "layers must not shrink"),
        ([STAGES[0], {**STAGES[1], "num_candidates": 4}], "num_candidates must not grow"),
        ([STAGES[0], {**STAGES[1], "epochs": 1}], "alpha_start_epoch must come before"),
        ([{**STAGES[0], "num_candidates": 1}], "num_candidates"),
        ([], "stages"),
    ],
)
def test_wrong_stages_write_nothing(stages, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        override = "progressive=" + json.dumps({"stages": stages})
        run_search(load_config(SearchConfig, overrides=[*TINY, override]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stage_that_cannot_be_leaves_nothing(tmp_path):
    config = load_config(SearchConfig, overrides=[*PROGRESSIVE, "data.batch_size=1000"])
    with pytest.raises(UsageError, match="batch_size"):
        run_search(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
