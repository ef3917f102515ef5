"""Typed configs and the experiment `retinanet_dartsminus`: Model Garden's COCO recipe with our backbone."""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams
from official.vision.configs import backbones, retinanet

EXPERIMENT = "retinanet_dartsminus"
SMALL_BATCH = 8  # images a device, below which batch statistics are too noisy to train on


@dataclasses.dataclass
class DartsMinus(hyperparams.Config):
    """An exported backbone.

    Attributes:
      saved_model: folder with `saved_model.pb` and `manifest.json`.
      l2_weight_decay: L2 on the backbone's convolution kernels; None takes `task.losses.l2_weight_decay`.
      freeze_batch_norm: keep the moving statistics while the weights train; None does so where fewer than
        `SMALL_BATCH` images meet on a device.
      frozen_level: keep everything fixed that this level and lower ones are computed from; None trains all.
      learning_rate_multiplier: the backbone's learning rate as a multiple of the trainer's.
    """

    saved_model: str = ""
    l2_weight_decay: float | None = None
    freeze_batch_norm: bool | None = None
    frozen_level: int | None = None
    learning_rate_multiplier: float = 1.0


@dataclasses.dataclass
class Backbone(backbones.Backbone):
    """Model Garden's backbones and ours."""

    type: str | None = "dartsminus"
    dartsminus: DartsMinus = dataclasses.field(default_factory=DartsMinus)


@dataclasses.dataclass
class RetinaNet(retinanet.RetinaNet):
    """RetinaNet whose backbone may be `dartsminus`."""

    backbone: Backbone = dataclasses.field(default_factory=Backbone)


@dataclasses.dataclass
class DartsMinusRetinaNetTask(retinanet.RetinaNetTask):
    """RetinaNet's task config on our model config, with a seed for initial weights and augmentation."""

    model: RetinaNet = dataclasses.field(default_factory=RetinaNet)
    seed: int = 0


@exp_factory.register_config_factory(EXPERIMENT)
def retinanet_dartsminus() -> cfg.ExperimentConfig:
    """`retinanet_resnetfpn_coco` with our backbone.

    Departures, each of which would hurt silently: float32 input and no mixed precision (the SavedModel is
    float32), no ResNet checkpoint, `drop_remainder=False` in evaluation (a dropped batch would leave the AP
    without a word), no data unless named, one device unless asked. Suppression is `batched`, a CPU kernel: the
    default `v2`, made for TPUs, compares 5,000 boxes with 5,000 for each of 90 classes, several seconds an image
    on a CPU.
    """
    recipe = retinanet.retinanet_resnetfpn_coco()
    base = recipe.task
    base.model.detection_generator.nms_version = "batched"
    base.train_data.dtype = base.validation_data.dtype = "float32"
    base.validation_data.drop_remainder = False
    base.train_data.input_path = base.validation_data.input_path = ""
    model = RetinaNet(
        num_classes=base.model.num_classes,
        input_size=list(base.model.input_size),
        norm_activation=base.model.norm_activation,
        min_level=base.model.min_level,
        max_level=base.model.max_level,
        detection_generator=base.model.detection_generator,
    )
    task = DartsMinusRetinaNetTask(
        model=model,
        losses=base.losses,
        train_data=base.train_data,
        validation_data=base.validation_data,
        annotation_file="",
    )
    recipe.trainer.validation_steps = -1
    return cfg.ExperimentConfig(
        task=task,
        trainer=recipe.trainer,
        runtime=cfg.RuntimeConfig(distribution_strategy="one_device", mixed_precision_dtype="float32"),
        restrictions=["task.train_data.is_training != None", "task.validation_data.is_training != None"],
    )
