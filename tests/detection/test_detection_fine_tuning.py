"""Each way of fine-tuning does what it says: after one real training step, these variables moved by that much."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import task_factory
from official.modeling import optimization
from tiny_config import tiny_config

from dartsminus_tf.foundation.errors import UsageError
from detection.model import backbone as backbone_lib
from detection.model import experiment, manifest, optimizer, stages
from detection.model import task as _task  # noqa: F401  registers the task
from detection.run import checkpoints, devices

RATE = 0.2  # of the step that most tests take


def settings(saved_model, backbone=(), trainer=(), runtime=(), batch=4, rate=RATE, kind="sgd", ema=None):
    tree = tiny_config(saved_model)
    tree["task"]["model"]["backbone"]["dartsminus"] |= dict(backbone)
    tree["task"] |= {"train_data": {"global_batch_size": batch}, "losses": {"l2_weight_decay": 0.0}}
    tree["trainer"] = {
        "optimizer_config": {
            "optimizer": {"type": kind, kind: dict(trainer)},
            "learning_rate": {"type": "constant", "constant": {"learning_rate": rate}},
            "warmup": {"type": None},
            "ema": ema,
        }
    }
    return tree | {"runtime": dict(runtime)}


class OneStep:
    """A seeded RetinaNet before and after one training step on the same batch."""

    def __init__(self, records, saved_model, **kwargs):
        self.params = experiment.build_experiment(settings(saved_model, **kwargs))
        self.params.task.train_data.override(
            {
                "input_path": str(records / "train*.tfrecord"),
                "shuffle_buffer_size": 1,
                "seed": 0,
                # Parallel threads draw at random in no fixed order, seed or not: the same batch has no draws.
                "parser": {"aug_rand_hflip": False, "aug_scale_min": 1.0, "aug_scale_max": 1.0},
            }
        )
        tf_keras.utils.set_random_seed(0)
        devices.set_precision(self.params)
        try:
            self.task = task_factory.get_task(self.params.task)
            self.model = self.task.build_model()
            self.optimizer = optimizer.build_optimizer(self.params, self.task, self.model)
            if isinstance(self.optimizer, optimization.ExponentialMovingAverage):
                self.optimizer.shadow_copy(self.model)  # the trainer's part
            self.batch = next(iter(self.task.build_inputs(self.params.task.train_data)))
            before = [v.numpy() for v in self.model.trainable_variables]
            self.moving = [v.numpy() for v in self.model.backbone.non_trainable_weights]
            self.loss = float(self.task.train_step(self.batch, self.model, self.optimizer)["loss"])
        finally:
            tf_keras.mixed_precision.set_global_policy("float32")
        self.moves = [v.numpy() - b for v, b in zip(self.model.trainable_variables, before, strict=True)]
        inside = {v.ref() for v in self.model.backbone.trainable_weights}
        self.is_backbone = [v.ref() in inside for v in self.model.trainable_variables]

    def part(self, backbone: bool) -> np.ndarray:
        """All moves of the backbone, or of the rest, in one row."""
        return np.concatenate([m.ravel() for m, b in zip(self.moves, self.is_backbone, strict=True) if b == backbone])


@pytest.fixture(scope="module")
def plain(digit_records, tiny_backbone):
    return OneStep(digit_records, tiny_backbone)


def test_everything_moves_by_default(plain):
    assert np.abs(plain.part(True)).max() > 1e-5 and np.abs(plain.part(False)).max() > 1e-5


def test_the_backbone_may_have_its_own_learning_rate(plain, digit_records, tiny_backbone):
    slow = OneStep(digit_records, tiny_backbone, backbone={"learning_rate_multiplier": 0.1})
    assert slow.loss == pytest.approx(plain.loss, rel=1e-6)
    np.testing.assert_allclose(slow.part(False), plain.part(False), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(slow.part(True), 0.1 * plain.part(True), rtol=1e-3, atol=2e-7)


def test_so_it_is_with_adam_which_scaled_gradients_would_not_slow(digit_records, tiny_backbone):
    # Adam's first step is the learning rate wherever the gradient, here 1e-4 at most, is well above its epsilon.
    exact = {"backbone": {"learning_rate_multiplier": 0.25}, "trainer": {"epsilon": 1e-10}}
    slow = OneStep(digit_records, tiny_backbone, rate=0.01, kind="adam", **exact)
    assert np.abs(slow.part(True)).max() == pytest.approx(0.0025, rel=0.01)
    assert np.abs(slow.part(False)).max() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize(
    "backbone, runtime, batch, frozen",
    [({}, {}, 4, True), ({}, {}, 8, False), ({"freeze_batch_norm": False}, {}, 4, False)]
    + [({"freeze_batch_norm": True}, {}, 64, True), ({}, {"num_gpus": 4}, 16, True)],
)
def test_batch_norm_is_frozen_for_small_batches(tiny_backbone, backbone, runtime, batch, frozen):
    params = experiment.build_experiment(settings(tiny_backbone, backbone=backbone, runtime=runtime, batch=batch))
    assert params.task.model.backbone.dartsminus.freeze_batch_norm is frozen


@pytest.mark.parametrize("frozen", [True, False])
def test_statistics_move_only_with_batch_norm(digit_records, tiny_backbone, frozen, plain):
    step = plain if frozen else OneStep(digit_records, tiny_backbone, backbone={"freeze_batch_norm": False})
    after = [v.numpy() for v in step.model.backbone.non_trainable_weights]
    same = [np.array_equal(a, b) for a, b in zip(step.moving, after, strict=True)]
    assert all(same) if frozen else not any(same)


def test_frozen_stages_stay(digit_records, tiny_backbone):
    """Level 3 is the third of five convolutions: its three kernels and scales stay, the other two move."""
    step = OneStep(digit_records, tiny_backbone, backbone={"frozen_level": 3})
    loaded = tf.saved_model.load(tiny_backbone)
    backbone = step.model.backbone
    assert len(backbone.trainable_weights) == 4 and len(backbone.non_trainable_weights) == 10 + 6
    moved = [m for m, inside in zip(step.moves, step.is_backbone, strict=True) if inside]
    assert all(np.abs(m).max() > 0 for m in moved)
    by_name = {v.name: v.numpy() for v in backbone.non_trainable_weights}
    for index in range(3):
        np.testing.assert_array_equal(by_name[f"kernel_{index}:0"], loaded.kernels[index])


def test_stages_are_read_off_the_graph(tiny_backbone):
    loaded = tf.saved_model.load(tiny_backbone)
    variables = list(loaded.backbone_trainable)
    for level, count in ((3, 3), (4, 4), (5, 5)):
        names = {v.name for v in stages.variables_up_to(loaded.serve, variables, level)}
        assert names == {f"{kind}_{i}:0" for kind in ("kernel", "scale") for i in range(count)}


@pytest.mark.parametrize("level", [2, True, "three"])
def test_unknown_stages_are_refused(tiny_backbone, level):
    with pytest.raises(UsageError, match=r"frozen_level must be one of the backbone's levels \[3, 4, 5\]"):
        experiment.build_experiment(settings(tiny_backbone, backbone={"frozen_level": level}))


def test_frozen_stages_need_frozen_statistics(tiny_backbone):
    keys = {"frozen_level": 3, "freeze_batch_norm": False}
    with pytest.raises(UsageError, match="needs freeze_batch_norm=true"):
        experiment.build_experiment(settings(tiny_backbone, backbone=keys))
    with pytest.raises(UsageError, match="needs freeze_batch_norm=true"):
        backbone_lib.SavedModelBackbone(manifest.read_manifest(tiny_backbone), (64, 64), frozen_level=3)


def test_gradients_are_clipped_by_their_global_norm(plain, digit_records, tiny_backbone):
    clipped = OneStep(digit_records, tiny_backbone, trainer={"global_clipnorm": 0.01})
    norm = np.sqrt(sum(np.square(m).sum() for m in clipped.moves))
    assert norm == pytest.approx(RATE * 0.01, rel=1e-3)  # learning rate times the limit
    assert np.sqrt(sum(np.square(m).sum() for m in plain.moves)) > 10 * norm


def test_averaged_weights_are_what_a_checkpoint_is_used_with(digit_records, tiny_backbone, tmp_path):
    """Two steps by hand: averages begin at zero, and the n-th decay is (1 + n) / (10 + n) at most."""
    step = OneStep(digit_records, tiny_backbone, ema={"average_decay": 0.2})
    first = [v.numpy() for v in step.model.trainable_variables]
    step.task.train_step(step.batch, step.model, step.optimizer)
    second = [v.numpy() for v in step.model.trainable_variables]
    averages = [0.2 * (1 - 2 / 11) * a + (1 - 0.2) * b for a, b in zip(first, second, strict=True)]
    items = {"model": step.model, "optimizer": step.optimizer, "global_step": tf.Variable(2, dtype=tf.int64)}
    tf.train.Checkpoint(**items).save(str(tmp_path / "ckpt"))
    model, count = checkpoints.restored_model(step.params, str(tmp_path))
    assert count == 2
    for restored, average, raw in zip(model.trainable_variables, averages, second, strict=True):
        np.testing.assert_allclose(restored.numpy(), average, rtol=1e-4, atol=1e-6)
        assert np.allclose(raw, 0) or not np.allclose(raw, average, rtol=1e-3, atol=0)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision(plain, digit_records, tiny_backbone, precision):
    """Decoder and head compute in half precision, hand out float32, and learn the same to a few percent."""
    half = OneStep(digit_records, tiny_backbone, runtime={"mixed_precision_dtype": precision})
    assert half.model.decoder.compute_dtype == precision
    assert {v.dtype for v in half.model.trainable_variables} == {tf.float32}
    outputs = half.model(half.batch[0], training=True)
    assert {t.dtype for t in tf.nest.flatten(outputs)} == {tf.float32}
    assert half.loss != plain.loss and half.loss == pytest.approx(plain.loss, rel=0.02)
    scaled = isinstance(half.optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
    assert scaled is (precision == "float16")
    correlation = np.corrcoef(half.part(False), plain.part(False))[0, 1]
    assert correlation > 0.98
    boxes = half.model(half.batch[0], image_shape=half.batch[1]["image_info"][:, 1], training=False)["detection_boxes"]
    assert boxes.dtype == tf.float32


def test_precisions_that_lose_something_are_refused(tiny_backbone):
    ema = settings(tiny_backbone, runtime={"mixed_precision_dtype": "float16"}, ema={"average_decay": 0.9})
    with pytest.raises(UsageError, match="ema works with float32 and bfloat16 only"):
        experiment.build_experiment(ema)
    with pytest.raises(UsageError, match="must be one of float32, bfloat16, float16"):
        experiment.build_experiment(settings(tiny_backbone, runtime={"mixed_precision_dtype": "int8"}))
    half = settings(tiny_backbone)
    half["task"]["train_data"]["dtype"] = "bfloat16"
    with pytest.raises(UsageError, match="dtype must be float32"):
        experiment.build_experiment(half)
