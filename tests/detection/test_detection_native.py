"""An export through its SavedModel computes what the same network of tf_keras layers computes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from tiny_config import tiny_config

import dartsminus_tf as dm
from detection.model import experiment


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> str:
    """A small network of every kind of operation, not trained."""
    normal = [["sep_conv_3x3", 0], ["dil_conv_5x5", 1], ["skip_connect", 0], ["max_pool_3x3", 1]]
    reduce = [["sep_conv_5x5", 0], ["skip_connect", 1], ["dil_conv_3x3", 0], ["avg_pool_3x3", 1]]
    genotype = dm.Genotype.from_dict(
        {"normal": normal, "normal_concat": [2, 3], "reduce": reduce, "reduce_concat": [2, 3]}
    )
    model = dm.build_network(genotype, channels=4, layers=3, num_classes=5, stem="imagenet")
    model(np.zeros((1, 64, 64, 3), "float32"))
    path = tmp_path_factory.mktemp("export") / "backbone"
    dm.export_backbone(model, path)
    return str(path)


def test_the_first_loss_is_that_of_native_layers(export, digit_records):
    import detection_backbones

    tree = tiny_config(export, digit_records)
    tree["task"]["model"]["backbone"]["dartsminus"]["freeze_batch_norm"] = False
    tree["task"]["losses"] = {"l2_weight_decay": 0.01}
    params = experiment.build_experiment(tree)
    ours, native = (candidate.model for candidate in detection_backbones.native_pair(params))
    images = tf.random.stateless_normal([2, 64, 64, 3], [0, 1])
    for level, feature in ours.backbone(images, training=False).items():
        np.testing.assert_allclose(feature, native.backbone(images, training=False)[level], rtol=1e-3, atol=1e-4)
    batch = next(iter(task_factory.get_task(params.task).build_inputs(params.task.train_data)))
    losses = [float(detection_backbones.loss_of(params, model, batch)) for model in (ours, native)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
