"""Small mobile networks and supernets for tests, and a finished training of one on disk."""

import json
from pathlib import Path

import keras
import numpy as np

import dartsminus_tf as dm
from dartsminus_tf.config import TrainConfig
from dartsminus_tf.foundation.config.typed import dump_config, load_config
from dartsminus_tf.foundation.runs.results import write_result
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS, write_weights
from dartsminus_tf.spaces.mobilenet.family import MobileConfig
from dartsminus_tf.spaces.mobilenet.genotype import PRIMITIVES
from dartsminus_tf.spaces.network import DerivedNetwork

SOURCE = "k5e6,k3e3|k3e6,k7e6|k5e6|k3e6,skip|k7e3|k3e6"
OTHER = "k3e3,skip|k7e6,k5e3|k5e6|k5e3,k3e6|k3e6|k7e3"
DEPTHS = (2, 2, 1, 2, 1, 1)
SMALLEST, SMALL_OTHER = "k5e6,k3e3|k3e6|k7e6|k3e6|k7e3|k3e6", "k3e3,skip|k7e6|k5e6|k5e3|k3e6|k7e3"
SIZES = {"widths": (8, 8, 16, 16, 16, 16), "stem_width": 8, "separable_width": 8, "head_width": 16}
SIZES |= {"padding": "same", "norm_epsilon": 1e-3}
SEEN = {"mean": [0.5, 0.25, 0.125], "std": [0.5, 0.5, 0.25]}


def network(text: str = SOURCE, num_classes: int = 5, **options) -> DerivedNetwork:
    """A built network, of new weights."""
    model = dm.build_network(dm.Genotype.from_string(text), num_classes=num_classes, **(SIZES | options))
    model.build((1, 32, 32, 3))
    return model


def supernet(num_classes: int = 5, **options):
    """A built supernet of the same layers."""
    net = dm.build_supernet("mobilenet", depths=DEPTHS, num_classes=num_classes, **(SIZES | options))
    net.build((1, 32, 32, 3))
    return net


def shake(model: keras.Model, seed: int = 0) -> None:
    """Scales, offsets and statistics of norms at random, so that images make a difference to logits."""
    rng = np.random.default_rng(seed)
    ranges = {"variance": (0.02, 0.1), "mean": (-0.3, 0.3), "gamma": (0.5, 1.5), "scale": (0.5, 1.5)}
    ranges |= {"beta": (-0.3, 1.0), "offset": (-0.3, 1.0)}
    for variable in model.variables:
        for name, (low, high) in ranges.items():
            if variable.name.endswith(name) and len(variable.shape):
                variable.assign(rng.uniform(low, high, variable.shape))


def choose(net, text: str) -> None:
    """Alpha that is sure of a genotype, and beta 0."""
    names = dm.Genotype.from_string(text).operations["layers"]
    for kind, alpha in net.alphas.items():
        sure = np.zeros(alpha.shape)
        for row, layer in enumerate(net.rows[kind]):
            sure[row, PRIMITIVES.index(names[layer])] = 50.0
        alpha.assign(sure)
    net.beta.assign(0.0)


def finished_training(path: Path, model: DerivedNetwork, multiply_adds: int = 1) -> Path:
    """A run directory in which `model` was trained on the digits, or so it says."""
    path.mkdir()
    options = {key: value for key, value in model.get_config().items() if key in MobileConfig.model_fields}
    plain = ["data.image_size=32", "stem=imagenet", "auxiliary_weight=0", "drop_path=0"]
    plain += [f"mobile={json.dumps(options)}", f"genotype={json.dumps(model.genotype.to_dict())}"]
    (path / "config.yaml").write_text(dump_config(load_config(TrainConfig, overrides=plain)))
    result = {
        "kind": "train",
        "genotype": model.genotype.to_dict(),
        "network": model.get_config(),
        "image_size": 32,
        "data": "digits",
        "class_names": [str(number) for number in range(model.num_classes)],
        "preprocessing": SEEN,
        "test_accuracy": 0.5,
        "test_top5_accuracy": 0.5,
        "test_loss": 1.0,
        "parameters": 1,
        "multiply_adds": multiply_adds,
        "seconds": 7.0,
    }
    write_result(path, result, {WEIGHTS: write_weights(path / WEIGHTS, model.save_weights)})
    return path
