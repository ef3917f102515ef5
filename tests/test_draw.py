"""Random networks of the mobile space: uniform over what a derivation can give, and of a cost."""

import collections

import numpy as np
import pytest

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.mobilenet.draw import TOLERANCE
from dartsminus_tf.spaces.mobilenet.genotype import PRIMITIVES, SKIP

OWN = {"depths": (1, 2, 1, 1, 2, 1), "widths": (8, 16, 16, 16, 24, 24), "head_width": 32}


def draw(seed: int, multiply_adds: int | None = None, **options):
    family = family_of("mobilenet")
    size = {"channels": 16, "image_size": 40, "num_classes": 3}
    rng = np.random.default_rng(seed)
    return family.load(family.draw)(rng, multiply_adds=multiply_adds, **size, **OWN, **options)


def cost(genotype) -> int:
    """Of the network itself, counted as everywhere else."""
    own = {key: value for key, value in OWN.items() if key != "depths"}
    model = dm.build_network(genotype, channels=16, num_classes=3, **own)
    model.build((1, 40, 40, 3))
    return dm.count(model)["multiply_adds"]


def test_every_outcome_is_as_likely_as_every_other():
    counts = collections.Counter()
    for seed in range(3000):
        genotype = draw(seed)
        assert genotype.depths == OWN["depths"]
        counts.update(enumerate(genotype.operations["layers"]))
    for layer in range(8):
        names = PRIMITIVES if layer in (2, 6) else PRIMITIVES[:-1]  # the second layers of their stages may be skips
        assert {name for place, name in counts if place == layer} == set(names)
        expected = 3000 / len(names)
        chi_squared = sum((counts[layer, name] - expected) ** 2 / expected for name in names)
        assert chi_squared < 24  # a chance of one in two thousand


def test_one_seed_is_one_network():
    assert draw(5) == draw(5) != draw(6)


def test_the_cost_is_that_of_the_network():
    wanted = cost(draw(1))
    found = [draw(seed, wanted, padding="same") for seed in range(3)]
    assert len(set(found)) == 3
    assert all(abs(cost(genotype) / wanted - 1) <= TOLERANCE for genotype in found)


def test_a_cost_that_there_is_not(monkeypatch):
    monkeypatch.setattr("dartsminus_tf.spaces.mobilenet.draw.MOST_DRAWS", 50)
    with pytest.raises(UsageError, match="50 draws gave no network of that cost. Received: multiply_adds 10$"):
        draw(0, 10)


def test_skips_are_drawn():
    assert any(SKIP in draw(seed).operations["layers"] for seed in range(50))
