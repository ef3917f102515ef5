"""The ImageNet recipes, cut down: they are read, the average of the weights and RMSprop follow their equations."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.config import TrainConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.loop.optimizers import RMSprop
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.spaces.find import find_genotype, published_genotype
from dartsminus_tf.train.runner import run_training
from dartsminus_tf.train.training import NetworkTraining
from tests.conftest import ROOT

RECIPES = ("mobilenet", "mobilenet_se_swish_autoaugment", "cells")
GENOTYPE = (
    '{"stages": [["ir_k3_e3", "skip_connect"], ["ir_k5_e3"], ["ir_k3_e3"], ["ir_k3_e3"], ["ir_k7_e3"], ["ir_k3_e6"]]}'
)
SMALL = ["data.name=digits", "data.image_size=32", "data.batch_size=16", "data.train_limit=64", "data.test_limit=32"]
SMALL += ["runtime.verbose=0", "steps_per_epoch=3"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_are_valid(recipe):
    config = load_config(TrainConfig, [str(ROOT / "configs" / f"train_imagenet_{recipe}.yaml")])
    assert config.data.center_crop == 0.875 and config.label_smoothing == 0.1 and config.stem == "imagenet"


def test_rmsprop_by_hand():
    """Two steps: v <- rho v + (1-rho) g^2, m <- mu m + rate g / sqrt(v + eps), w <- w - m, g with L2."""
    w = keras.Variable([2.0])
    optimizer = RMSprop(0.1, rho=0.9, momentum=0.5, epsilon=0.01, l2=0.3)
    optimizer.build([w])
    value, v, m = 2.0, 0.0, 0.0
    for gradient in (1.0, -0.5):
        optimizer.apply([tf.constant([gradient])], [w])
        g = gradient + 0.3 * value
        v = 0.9 * v + 0.1 * g * g
        m = 0.5 * m + 0.1 * g / np.sqrt(v + 0.01)
        value -= m
        assert float(w.numpy()[0]) == pytest.approx(value, rel=1e-5)


def test_average_is_evaluated_and_kept():
    network = dm.build_network(dm.Genotype.from_json(GENOTYPE), num_classes=3, width_multiplier=0.1)
    model = NetworkTraining(network, auxiliary_weight=0.0, ema_decay=0.5)
    model.build((2, 32, 32, 3))
    model.compile(keras.optimizers.SGD(0.5))
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    expected = [v.numpy() for v in variables]
    batch = (tf.random.normal([2, 32, 32, 3]), tf.constant([0, 2]))
    for step in range(2):
        model.train_step(batch)
        share = 1 - min(0.5, (1 + step) / (10 + step))
        expected = [e + share * (v.numpy() - e) for e, v in zip(expected, variables, strict=True)]
    before = [v.numpy() for v in variables]
    logits = model.test_step(batch)  # by the averages; the network's own values stay
    assert np.isfinite(float(logits["loss"]))
    assert all(np.array_equal(b, v.numpy()) for b, v in zip(before, variables, strict=True))
    model.loss_metric.reset_state()
    evaluated = float(model.test_step(batch)["loss"])
    model.keep_average()
    for value, variable in zip(expected, variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-4, atol=1e-5)
    direct = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(batch[1], network(batch[0]))
    assert evaluated == pytest.approx(float(direct), rel=1e-4)


@pytest.mark.slow
def test_mobile_recipe_resumes_and_reloads(tmp_path):
    """Stopped after one of two epochs and continued, with the average, RMSprop, mixup and bfloat16 switched on."""
    recipe = [str(ROOT / "configs" / "train_imagenet_mobilenet_se_swish_autoaugment.yaml")]
    small = [
        *SMALL,
        "data.mean=null",
        "data.std=null",
        "data.augment.policy=null",
        "data.augment.random_resized_crop=null",
    ]
    small += [
        "data.center_crop=null",
        "mobile.width_multiplier=0.1",
        "data.augment.mixup=0.2",
        "drop_path=0",
        "epochs=2",
    ]
    small += ["mobile.dropout=0", "precision=mixed_bfloat16", f"genotype={GENOTYPE}", "weights.warmup_epochs=1"]
    whole = run_training(load_config(TrainConfig, recipe, small), tmp_path / "whole")
    (tmp_path / "whole" / "result.json").unlink()
    (tmp_path / "whole" / "checkpoints" / "epoch_0001.weights.h5").unlink(missing_ok=True)
    again = run_training(load_config(TrainConfig, recipe, small), tmp_path / "whole")
    assert again["test_loss"] == pytest.approx(whole["test_loss"], abs=1e-6)
    network, _ = load_trained(tmp_path / "whole")
    assert network.levels["5"]["stride"] == 32 and dm.count(network)["parameters"] == again["parameters"]


def test_mobile_options_belong_to_mobile_genotypes(tmp_path):
    config = load_config(TrainConfig, overrides=[*SMALL, "mobile.dropout=0.1", "genotype=cifar10_s0_best"])
    with pytest.raises(UsageError, match="mobile"):
        run_training(config, tmp_path / "x")


def test_a_genotype_is_found_in_the_string_of_every_family():
    strings = ["k3e6,k3e6|k3e6,skip|k3e6|k3e6|k3e6|k3e6", "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|"]
    for genotype in [published_genotype("cifar10_s0_best"), *map(dm.Genotype.from_string, strings)]:
        assert find_genotype(str(genotype)).genotype == genotype


def test_a_genotype_is_read_from_regular_files_of_some_size_alone(tmp_path):
    """/dev/zero has no end, and a FIFO waits for ever."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large.json").write_text(" " * 1_000_001)
    for path in ("/dev/zero", tmp_path / "fifo", tmp_path / "large.json"):
        with pytest.raises(UsageError, match="regular one of at most"):
            find_genotype(str(path))
