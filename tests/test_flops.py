"""The FLOPs penalty of the mobile space, and searches in it through the runner that all spaces share."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.config import FlopsConfig, SearchConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.loop.optimizers import SGD, Adam
from dartsminus_tf.search.flops import flops_penalty
from dartsminus_tf.search.runner import run_search

SMALL = ["space=mobilenet", "channels=8", "layers=6", "data.image_size=16", "data.batch_size=8", "epochs=2"]
SMALL += ["steps_per_epoch=1", "data.train_limit=64", "data.test_limit=16", "runtime.verbose=0", "alpha_fraction=0.5"]


@pytest.fixture(scope="module")
def supernet():
    keras.utils.set_random_seed(0)
    net = dm.build_supernet("mobilenet", 8, 6, 4)
    net.build((4, 16, 16, 3))
    return net


def test_penalty_and_its_gradient(supernet):
    penalty = flops_penalty(supernet, FlopsConfig(target_mflops=0.5, weight=3.0))
    expected = float(supernet.expected_multiply_adds())
    assert float(penalty()) == pytest.approx(3 * (expected / 0.5e6 - 1) ** 2, rel=1e-5)
    alpha = supernet.alphas["change"]
    with tf.GradientTape() as tape:
        value = penalty()
    gradient = tape.gradient(value, alpha.value).numpy()
    before, step = alpha.numpy(), np.zeros(alpha.shape, np.float32)
    step[3, 5] = 0.05
    slopes = []
    for sign in (1, -1):
        alpha.assign(before + sign * step)
        slopes.append(float(penalty()))
    alpha.assign(before)
    assert gradient[3, 5] == pytest.approx((slopes[0] - slopes[1]) / 0.1, rel=0.02)


def derived_mflops(genotype) -> float:
    model = dm.build_network(genotype, num_classes=4, width_multiplier=0.25)
    model.build((1, 16, 16, 3))
    return dm.count(model)["multiply_adds"] / 1e6


@pytest.mark.slow
def test_derived_network_follows_the_target(supernet):
    """Real bilevel steps with two targets between the cheapest and the dearest network."""
    keras.utils.set_random_seed(0)
    start = [alpha.numpy() for alpha in supernet.alpha_variables]
    x, y = tf.random.normal([4, 16, 16, 3]), tf.constant([0, 1, 2, 3])
    target = tf.Variable(1.0)
    search = dm.BilevelSearch(
        supernet, alpha_penalty=lambda: 30.0 * tf.square(supernet.expected_multiply_adds() / target - 1)
    )
    search.compile(SGD(0.01, momentum=0.9), Adam(0.1, l2=0.0))
    step = tf.function(lambda: search.train_step(((x, y), (x, y))))
    cheapest, dearest = (
        derived_mflops(dm.Genotype.from_json(json.dumps({"stages": [[name]] * 6}))) for name in ("ir_k3_e3", "ir_k7_e6")
    )
    found = []
    for share in (0.15, 0.85):
        wanted = cheapest + share * (dearest - cheapest)
        target.assign(wanted * 1e6)
        for alpha, value in zip(supernet.alpha_variables, start, strict=True):
            alpha.assign(value)
        for _ in range(60):
            step()
        found.append((wanted, derived_mflops(supernet.genotype())))
    assert all(abs(got / wanted - 1) < 0.25 for wanted, got in found), found
    assert found[0][1] < found[1][1], found


def test_a_space_without_costs_is_refused():
    penalty = flops_penalty(dm.build_supernet("s3", 2, 3, 4), FlopsConfig(target_mflops=1))
    with pytest.raises(UsageError, match="whose costs are known"):
        penalty()
    with pytest.raises(UsageError, match="takes flops=None alone"):
        load_config(SearchConfig, overrides=["flops.target_mflops=3"])


def test_a_search_in_the_mobile_space(tmp_path):
    plain = run_search(load_config(SearchConfig, overrides=[*SMALL, "flops.target_mflops=1"]), tmp_path / "a")
    genotype = dm.Genotype.from_dict(plain["genotype"])
    assert genotype.depths == (1,) * 6 and plain["skip_connects"] == {"layers": 0}
    header = (tmp_path / "a" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"expected_mflops", "beta", "alpha_entropy", "skip_share"} <= set(header)


@pytest.mark.slow
def test_a_second_order_search_rematerialised_in_bfloat16(tmp_path):
    extra = ["order=second", "rematerialize=true", "precision=mixed_bfloat16", "epochs=1", "steps_per_epoch=1"]
    result = run_search(load_config(SearchConfig, overrides=[*SMALL, *extra]), tmp_path / "run")
    assert np.isfinite(result["validation_accuracy"])
