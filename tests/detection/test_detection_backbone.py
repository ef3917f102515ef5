"""The SavedModel backbone: contract, gradients, frozen statistics, normalisation, L2."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from fixture_backbone import save_backbone
from official.vision.modeling import factory
from official.vision.ops import preprocess_ops

from dartsminus_tf.foundation.errors import UsageError
from detection.model import backbone as backbone_lib
from detection.model import manifest, recipe

IMAGENET = {"mean": preprocess_ops.MEAN_NORM, "std": preprocess_ops.STDDEV_NORM}


@pytest.fixture(scope="module")
def images():
    return tf.random.stateless_uniform([2, 64, 64, 3], [1, 2], -2, 2)


@pytest.fixture
def backbone(tiny_backbone):
    return backbone_lib.SavedModelBackbone(manifest.read_manifest(tiny_backbone), (64, 64))


def moving(backbone):
    return [v.numpy() for v in backbone._moving]


def test_shapes_and_output_specs(backbone, images):
    features = backbone(images)
    assert {level: f.shape.as_list() for level, f in features.items()} == {
        "3": [2, 8, 8, 12],
        "4": [2, 4, 4, 16],
        "5": [2, 2, 2, 16],
    }
    for level, feature in features.items():
        assert backbone.output_specs[level].as_list() == [None, *feature.shape[1:].as_list()]


def test_symbolic_call_knows_its_shapes(backbone):
    features = backbone(tf_keras.Input([64, 64, 3]))
    assert features["3"].shape.as_list() == [None, 8, 8, 12]


def test_half_precision_input_is_cast(backbone, images):
    half = backbone(tf.cast(images, tf.bfloat16))
    assert half["3"].dtype == tf.float32
    np.testing.assert_allclose(half["3"], backbone(images)["3"], atol=0.1)


def test_gradients_reach_every_trainable_variable(backbone, images):
    with tf.GradientTape() as tape:
        features = backbone(images, training=True)
        loss = tf.add_n([tf.reduce_sum(f * f) for f in features.values()])
    weights = backbone.trainable_variables
    gradients = tape.gradient(loss, weights)
    assert len(weights) == 10  # five kernels and five scales; the classifier head is none of ours
    assert all(g is not None and float(tf.reduce_max(tf.abs(g))) > 0 for g in gradients)


def test_train_moves_the_statistics_and_serve_does_not(backbone, images):
    before = moving(backbone)
    backbone(images, training=False)
    backbone(images)
    assert all(np.array_equal(a, b) for a, b in zip(before, moving(backbone), strict=True))
    backbone(images, training=True)
    assert not any(np.array_equal(a, b) for a, b in zip(before, moving(backbone), strict=True))


def test_frozen_backbone_keeps_its_statistics_and_lists_nothing_trainable(backbone, images):
    backbone.trainable = False
    before = moving(backbone)
    frozen = backbone(images, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, moving(backbone), strict=True))
    assert backbone.trainable_weights == [] and len(backbone.non_trainable_weights) == 20
    np.testing.assert_allclose(frozen["3"], backbone(images, training=False)["3"])


def test_frozen_batch_norm_trains_weights_on_fixed_statistics(tiny_backbone, images):
    backbone = backbone_lib.SavedModelBackbone(manifest.read_manifest(tiny_backbone), (64, 64), freeze_batch_norm=True)
    before = moving(backbone)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(backbone(images, training=True)["5"])
    assert all(np.array_equal(a, b) for a, b in zip(before, moving(backbone), strict=True))
    assert all(g is not None for g in tape.gradient(loss, backbone.trainable_variables))


def test_training_flag_and_freezing_pass_through_an_outer_model(backbone, images):
    """RetinaNet calls its backbone without `training`; Keras hands the outer model's flag down."""

    class Outer(tf_keras.Model):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, x, training=None):
            return self.inner(x)["5"]

    outer = Outer(backbone)
    run = tf.function(lambda x, training: outer(x, training=training))
    before = moving(backbone)
    run(images, False)
    assert np.array_equal(before[0], moving(backbone)[0])
    run(images, True)
    assert not np.array_equal(before[0], moving(backbone)[0])
    assert len(outer.trainable_variables) == 10


def test_normalisation_is_converted_to_the_manifests(tmp_path):
    mean, std = (0.1, 0.4, 0.7), (0.5, 0.2, 0.3)
    path = save_backbone(tmp_path / "b", mean=mean, std=std)
    pixels = tf.cast(tf.random.stateless_uniform([1, 64, 64, 3], [3, 4], 0, 256, tf.int32), tf.uint8)
    arriving = preprocess_ops.normalize_image(pixels[0])[None]  # as Model Garden's reader does it
    wanted = (tf.cast(pixels, tf.float32) / 255 - mean) / std
    ours = backbone_lib.SavedModelBackbone(manifest.read_manifest(path), (64, 64))(arriving)
    loaded = tf.saved_model.load(path)  # must outlive its functions
    direct = loaded.serve(wanted)
    for level in direct:
        np.testing.assert_allclose(ours[level], direct[level], atol=2e-5)


def test_imagenet_normalisation_is_left_alone(tmp_path, images):
    path = save_backbone(tmp_path / "b", **IMAGENET)
    ours = backbone_lib.SavedModelBackbone(manifest.read_manifest(path), (64, 64))(images)
    loaded = tf.saved_model.load(path)
    np.testing.assert_allclose(ours["5"], loaded.serve(images)["5"], atol=1e-6)


def retinanet(path, l2=None, backbone_l2=None):
    config = recipe.RetinaNet(num_classes=3, input_size=[64, 64, 3], min_level=3, max_level=5)
    config.head.num_convs, config.head.num_filters, config.decoder.fpn.num_filters = 1, 8, 8
    config.backbone.dartsminus.saved_model = path
    config.backbone.dartsminus.l2_weight_decay = backbone_l2
    regularizer = tf_keras.regularizers.l2(l2 / 2) if l2 else None
    return factory.build_retinanet(tf_keras.layers.InputSpec(shape=[None, 64, 64, 3]), config, regularizer)


def half_squares(model):
    return sum(float(tf.nn.l2_loss(v)) for v in model.backbone.trainable_weights if v.shape.rank == 4)


def test_l2_reaches_the_kernels_inside_the_savedmodel(tiny_backbone):
    plain, decayed = retinanet(tiny_backbone), retinanet(tiny_backbone, backbone_l2=0.01)
    assert float(tf.add_n([*plain.losses, 0.0])) == 0.0
    assert float(tf.add_n(decayed.losses)) == pytest.approx(0.01 * half_squares(decayed), rel=1e-5)
    with tf.GradientTape() as tape:
        loss = tf.add_n(decayed.losses)
    kernel = decayed.backbone.trainable_weights[0]
    np.testing.assert_allclose(tape.gradient(loss, kernel), 0.01 * kernel, rtol=1e-5)


def test_l2_of_the_task_is_the_default_and_zero_turns_it_off(tiny_backbone):
    without = float(tf.add_n(retinanet(tiny_backbone, l2=0.01, backbone_l2=0.0).losses))
    model = retinanet(tiny_backbone, l2=0.01)
    assert float(tf.add_n(model.backbone.losses)) == pytest.approx(0.01 * half_squares(model), rel=1e-5)
    assert without > 0  # decoder and head
    model.backbone.trainable = False
    assert float(tf.add_n(model.backbone.losses)) == 0.0


def rewritten(path, **changes) -> str:
    file = Path(path) / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"format": "other"}, "'format' must be"),
        ({"format_version": 2}, "'format_version' must be 1"),
        ({"preprocessing": None}, "'preprocessing' must be a mapping"),
        ({"preprocessing": {"mean": [0, 0], "std": [1, 1, 1]}}, "mean must be three numbers"),
        ({"preprocessing": {"mean": [0, 0, 0], "std": [1, 1, 0]}}, "std must be above 0"),
        ({"preprocessing": {"mean": [0, 0, 0], "std": [1, 1, 1], "channels": 1}}, "channels must be 3"),
        ({"levels": {}}, "'levels' must map"),
        ({"levels": {"3": {"channels": 12, "stride": 4}}}, "must have stride 8"),
        ({"levels": {"c3": {"channels": 12, "stride": 8}}}, "needs integer channels"),
        ({"levels": {"3": {"channels": 13, "stride": 8}}}, r"must be \[1, 2, 2, 13\]"),
        ({"levels": {"6": {"channels": 16, "stride": 64}}}, r"must return levels \['6'\]"),
    ],
)
def test_manifest_violations_are_one_line(tmp_path, changes, message):
    path = rewritten(save_backbone(tmp_path / "b"), **changes)
    with pytest.raises(UsageError, match=message) as caught:
        backbone_lib.SavedModelBackbone(manifest.read_manifest(path), (64, 64))
    assert "\n" not in str(caught.value) and "Received" in str(caught.value)


@pytest.mark.parametrize("levels, top, missing", [((4, 5), 5, [3]), ((3, 5), 6, [4])])
def test_pyramid_levels_must_be_there(tmp_path, levels, top, missing):
    found = manifest.read_manifest(save_backbone(tmp_path / "b", levels=levels))
    with pytest.raises(UsageError) as caught:
        manifest.check_levels(found, 3, top)
    assert f"needs backbone levels {missing}" in str(caught.value)


def test_levels_above_the_backbone_are_the_pyramids_own(tiny_backbone):
    manifest.check_levels(manifest.read_manifest(tiny_backbone), 3, 7)
    manifest.check_levels(manifest.read_manifest(tiny_backbone), 4, 5)


def test_missing_parts(tmp_path, tiny_backbone):
    module = tf.Module()
    module.v = tf.Variable(1.0)
    module.serve = tf.function(lambda x: {"3": x}, input_signature=[tf.TensorSpec([None, None, None, 3])])
    tf.saved_model.save(module, str(tmp_path / "b"))
    with pytest.raises(UsageError, match="no manifest.json"):
        manifest.read_manifest(str(tmp_path / "b"))
    (tmp_path / "b" / "manifest.json").write_bytes((Path(tiny_backbone) / "manifest.json").read_bytes())
    with pytest.raises(UsageError, match="no endpoint 'train'"):
        backbone_lib.SavedModelBackbone(manifest.read_manifest(str(tmp_path / "b")), (64, 64))
    for path in ("", str(tmp_path / "nowhere")):
        with pytest.raises(UsageError, match="saved_model"):
            manifest.read_manifest(path)
