"""The eigenvalue against a dense Hessian, its products against differences, the stopping rule, resumed runs."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.config import EarlyStopConfig, SearchConfig
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.search.early_stop import Stop, find_stop
from dartsminus_tf.search.hessian import AlphaHessian
from dartsminus_tf.search.runner import build_search, run_search
from dartsminus_tf.spaces.darts.space import cell_space
from tests.conftest import TINY_SEARCH
from tests.test_bilevel import BATCH

TINY = [*TINY_SEARCH, "space=s2", "steps_per_epoch=1"]
# Any eigenvalue is more than a thousandth of the one before: the search stops after the third epoch.
STOPPING = [*TINY, "space=nasbench201", "layers=1", "epochs=5", "early_stop={window: 1, factor: 0.001, start_epoch: 1}"]
PAIRS = (("skip_connect", "sep_conv_5x5"), ("avg_pool_3x3", "dil_conv_5x5"), ("sep_conv_3x3", "dil_conv_3x3"))
SMOOTH = cell_space("smooth", normal=(PAIRS * 5)[:14], reduce=(PAIRS * 5)[1:])


def measured(*values, every=1):
    return [(index * every, value) for index, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        # Means of two: 1, 1, 1, 1.5, 2.5. The fifth value's mean is 1.5 times that of two before.
        ((1, 1, 1, 1, 2, 3), {}, Stop(4, 2)),
        ((1, 1, 1, 1, 2, 3), {"factor": 1.5}, Stop(5, 3)),
        ((1, 1, 1, 1, 2, 3), {"start_epoch": 3}, Stop(5, 3)),
        ((1, 1, 1, 1, 2, 3), {"factor": 2.5}, None),
        ((1, 1, 2), {}, None),
        ((1, 1, 2, 2), {}, Stop(3, 1)),
        ((3, 2, 1, 1, 1), {}, None),
        ((-1, -1, 5, 5), {}, None),
        ((1, 1, float("nan"), 9, 9), {}, None),
        ((), {}, None),
    ],
)
def test_rule_by_hand(values, settings, expected):
    config = EarlyStopConfig(**{"window": 2, "start_epoch": 0, **settings})
    assert find_stop(measured(*values), config) == expected


def test_rule_counts_measurements():
    config = EarlyStopConfig(window=2, start_epoch=0, every_epochs=3)
    assert find_stop(measured(1, 1, 1, 1, 2, every=3), config) == Stop(12, 6) and config.first_stop == 9


def test_papers_settings():
    """Five values at 1, then a rise by half: after five values at 1.5 at the latest."""
    config = EarlyStopConfig()
    assert (config.window, config.factor, config.first_stop) == (5, 1.3, 15)
    assert find_stop(measured(*[1.0] * 20, *[1.5] * 5), config) == Stop(23, 18)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("early_stop={window: 3}", "could act after epoch 5"),
        ("early_stop={window: 0}", "early_stop.window"),
        ("early_stop={every: 2}", "Unknown config key"),
        ("progressive={stages: [{layers: 3, epochs: 2, num_candidates: 2}]}", "exclude each other"),
    ],
)
def test_wrong_settings_are_refused(override, message):
    with pytest.raises(UsageError, match=message):
        load_config(SearchConfig, overrides=[*STOPPING, "space=s2", override])


@pytest.fixture
def smooth(monkeypatch):
    """A search of smooth operations only: differences see the kinks of ReLUs and max pools, derivatives do not."""
    monkeypatch.setattr(tf.nn, "relu", tf.nn.softplus)
    config = load_config(SearchConfig, overrides=[*TINY, "skip_dropout=0.5"])
    model = build_search(config, ImageData(config.data, 0), SMOOTH)
    rng = np.random.default_rng(0)
    for alpha in model.supernet.alpha_variables:
        alpha.assign(rng.normal(scale=0.5, size=alpha.shape))
    return model, AlphaHessian(model)


def gradient_at(model, offset):
    """d L_val / d alpha at alpha + offset, in training mode, by one tape."""
    alphas, start = model.supernet.alpha_variables, 0
    before = [alpha.numpy() for alpha in alphas]
    for alpha, value in zip(alphas, before, strict=True):
        alpha.assign(value + offset[start : start + value.size].reshape(value.shape))
        start += value.size
    values = [alpha.value for alpha in alphas]
    with tf.GradientTape() as tape:
        loss = model.loss(BATCH[1], model.supernet(BATCH[0], training=True))
    found = np.concatenate([g.numpy().reshape(-1) for g in tape.gradient(loss, values)])
    for alpha, value in zip(alphas, before, strict=True):
        alpha.assign(value)
    return found.astype(np.float64)


def test_products_and_eigenvalue(smooth):
    model, hessian = smooth
    net = model.supernet
    state = [variable.numpy() for variable in net.variables]
    dense = np.stack([hessian.product(*BATCH, row) for row in np.eye(hessian.size)])
    found = hessian.largest_eigenvalue(*BATCH)
    assert found == hessian.largest_eigenvalue(*BATCH)
    for before, variable in zip(state, net.variables, strict=True):
        np.testing.assert_array_equal(before, variable.numpy())

    scale = np.abs(dense).max()
    np.testing.assert_allclose(dense, dense.T, atol=1e-3 * scale)
    eigenvalues = np.linalg.eigvalsh((dense + dense.T) / 2)
    assert found == pytest.approx(eigenvalues[-1], rel=1e-3)

    net.skip_dropout.rate.assign(0.0)  # the Hessian's methods turn the dropout off themselves
    vector = np.random.default_rng(1).normal(size=hessian.size)
    vector /= np.linalg.norm(vector)
    step = 1e-2 * vector
    differences = (gradient_at(model, step) - gradient_at(model, -step)) / 2e-2
    error = np.linalg.norm(dense @ vector - differences) / np.linalg.norm(differences)
    assert error < 1e-2, error


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    config = load_config(SearchConfig, overrides=[*STOPPING, "method=darts"])
    path = tmp_path_factory.mktemp("runs") / "stopped"
    return config, path, run_search(config, path)


def table(path, name="metrics.csv"):
    return list(csv.DictReader((path / name).open()))


def test_the_result_is_the_genotype_before_the_rise(stopped):
    _, path, result = stopped
    rows = table(path)
    assert (result["stopped_epoch"], result["genotype_epoch"]) == (2, 1) and len(rows) == 3
    assert json.loads(table(path, "genotypes.csv")[1]["genotype"]) == result["genotype"]
    assert result["validation_accuracy"] == float(rows[1]["val_accuracy"])
    assert (result["train_accuracy"], result["beta"]) == (float(rows[1]["accuracy"]), float(rows[1]["beta"]))
    assert rows[1]["accuracy"] != rows[2]["accuracy"]
    assert all(float(row["hessian_eigenvalue"]) > 0 for row in rows)
    assert json.loads((path / "result.json").read_text()) == result


def test_a_search_resumed_after_its_stop_does_not_go_on(stopped):
    """Interrupted before the result was written: the rule is applied to what the state holds, nothing is run again."""
    config, path, result = stopped
    rows = table(path)
    (path / "metrics.csv").write_text("epoch,hessian_eigenvalue,val_accuracy\n0,1,1\n1,9,1\n")
    (path / "genotypes.csv").unlink()
    (path / "result.json").unlink()
    assert run_search(config, path) == result and table(path) == rows


@pytest.mark.slow
def test_a_search_resumed_before_its_stop_stops_alike(stopped):
    config, path, result = stopped
    rows = table(path)
    (path / "result.json").unlink()
    max((path / "checkpoints").glob("epoch_*.npz")).unlink()
    again = run_search(config, path)
    assert again | {"seconds": 0} == result | {"seconds": 0}
    assert [row | {"seconds": 0} for row in table(path)] == [row | {"seconds": 0} for row in rows]
