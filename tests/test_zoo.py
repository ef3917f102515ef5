"""Exact parameter counts of every published genotype in the paper's three settings."""

import json

import keras
import numpy as np
import pytest

import dartsminus_tf as dm
from dartsminus_tf.spaces.find import published

SETTINGS = {
    "cifar10_C36_L20": {"channels": 36, "layers": 20, "num_classes": 10},
    "cifar100_C36_L20": {"channels": 36, "layers": 20, "num_classes": 100},
    "imagenet_C48_L14": {"channels": 48, "layers": 14, "num_classes": 1000, "stem": "imagenet"},
}


def parameters(genotype, setting) -> list[int]:
    """[without, with the auxiliary head]; variables are declared, never allocated."""
    with keras.StatelessScope(initialize_variables=False):
        model = dm.build_network(genotype, auxiliary=True, **SETTINGS[setting])
        size = 224 if setting.startswith("imagenet") else 32
        model.build((1, size, size, 3))
        head = sum(np.prod(v.shape) for v in model.auxiliary_head.trainable_variables)
        everything = sum(np.prod(v.shape) for v in model.trainable_variables)
    return [int(everything - head), int(everything)]


@pytest.mark.parametrize("name", sorted(published()))
def test_parameter_counts(name):
    entry = published()[name]
    genotype = dm.published_genotype(name)
    for setting in SETTINGS:
        assert parameters(genotype, setting) == entry[setting], setting


def test_every_entry_has_every_setting():
    assert len(published()) == 45
    for entry in published().values():
        assert set(entry) - {"space"} == {"genotype", *SETTINGS}


def test_none_is_missing(golden):
    ours = {name: {key: entry[key] for key in entry if key != "space"} for name, entry in published().items()}
    assert ours == json.loads((golden / "genotypes.json").read_text())
