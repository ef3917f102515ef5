"""The most probable network within a cost: against all that there are, and in a search."""

import itertools

import keras
import numpy as np
import pytest

import dartsminus_tf as dm
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.search.runner import build_search
from dartsminus_tf.spaces.mobilenet.derive import strongest, strongest_within
from tests.test_flops import SMALL


@pytest.mark.parametrize("seed", range(20))
def test_no_choice_within_the_cost_is_more_probable(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, 5)
    alphas, costs = [rng.normal(size=n) for n in sizes], [rng.integers(0, 10**8, n).tolist() for n in sizes]
    total = lambda picks: sum(row[k] for row, k in zip(costs, picks, strict=True))  # noqa: E731
    gain = lambda picks: sum(row[k] for row, k in zip(alphas, picks, strict=True))  # noqa: E731
    least, most = sum(map(min, costs)), total(strongest(alphas))
    for budget in np.linspace(least, most, 6).astype(int):
        picks = strongest_within(alphas, costs, int(budget) + 1000)
        allowed = [p for p in itertools.product(*map(range, sizes)) if total(p) <= int(budget) + 1000]
        assert total(picks) <= int(budget) + 1000
        assert gain(picks) == pytest.approx(max(map(gain, allowed)), abs=1e-9)
    assert strongest_within(alphas, costs, most) == strongest(alphas)
    with pytest.raises(UsageError, match=f"cost {least} multiply-adds at least. Received: {least - 1} for them"):
        strongest_within(alphas, costs, least - 1)


@pytest.fixture(scope="module")
def data():
    return ImageData(load_config(SearchConfig, overrides=SMALL).data, 0)


def search(data, *flops: str):
    keras.utils.set_random_seed(0)
    return build_search(load_config(SearchConfig, overrides=[*SMALL, *flops]), data).supernet


def test_a_search_derives_what_it_was_asked_for(data):
    free = search(data, "flops.target_mflops=0.25")
    bound = search(data, "flops.target_mflops=0.25", "flops.at_most=true")
    for alpha in bound.alphas.values():
        dearest = np.zeros(alpha.shape, np.float32)
        dearest[:, 5] = 1.0  # the largest kernel and expansion
        alpha.assign(dearest)
    assert bound.most_multiply_adds == 250_000 and free.most_multiply_adds is None
    assert 0.22 < derived_mflops_of(bound) <= 0.25
    for kind, alpha in free.alphas.items():
        alpha.assign(bound.alphas[kind])
    assert free.genotype() == dm.Genotype.from_string("|".join(["k7e6"] * 6))
    assert derived_mflops_of(free) > 0.25


def derived_mflops_of(supernet) -> float:
    """With the ten classes of the data."""
    model = dm.build_network(supernet.genotype(), num_classes=10, width_multiplier=0.25)
    model.build((1, 16, 16, 3))
    return dm.count(model)["multiply_adds"] / 1e6


def test_a_cost_that_no_network_has_is_refused_before_the_first_step(data):
    with pytest.raises(UsageError, match="The searched layers cost .* at least"):
        search(data, "flops.target_mflops=0.01", "flops.at_most=true")
