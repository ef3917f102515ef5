"""The config of a training: what all networks have, and a section for each family whose networks have options."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from dartsminus_tf.config.data import BEFORE, AugmentConfig, TrainDataConfig
from dartsminus_tf.config.distill import DistillConfig, SourceText
from dartsminus_tf.config.run import RuntimeConfig, WeightsConfig, with_sections
from dartsminus_tf.config.start import completed
from dartsminus_tf.foundation.config.paths import absolute
from dartsminus_tf.foundation.config.typed import Fraction, Positive, Precision, Rate
from dartsminus_tf.spaces.find import published

USUAL_GENOTYPE = "cifar10_s0_best"


def _absolute_where_a_path(genotype: str | dict) -> str | dict:
    """The place of a file or directory that is there, from the root on; anything else as it stands."""
    text = genotype.strip() if isinstance(genotype, str) else ""
    if not text or text.startswith("{") or text in published():
        return genotype
    place = absolute(text)
    return place if os.path.exists(place) else genotype


class TrainConfig(with_sections("options")):
    """Training of a derived network. Defaults are the paper's for CIFAR-10 (as in the released code).

    Args:
        init: what the training starts from, a network with weights: a preset's name, a file of its weights, the run
            directory of a finished training, or an exported backbone. What the config leaves out of its form and of
            `data.mean` and `data.std` is that network's (see `config.start`).
        freeze_epochs: the first so many epochs train the classifier and the auxiliary head alone: all else stands
            still, batch norms' statistics too.
        freeze_statistics: batch norms use the statistics that they begin with throughout, which small sets and batches
            need; their scales and offsets are trained.
        backbone_learning_rate: a multiple of the learning rate, for all but the classifier and the auxiliary head.
        distill: a teacher that the network learns from, beside the labels.
        genotype: a published name (see `spaces.find`), a JSON file, a search's run directory, or the genotype.
        channels, layers: of the first cells, and the number of cells; by default the paper's for the genotype's family
            (see the family's `build_network`).
        drop_path: rate at the last epoch; it grows linearly with the epoch.
        sync_batch_norm: with several devices, batch norms take the statistics of the global batch.
        ema_decay: of the average of the weights, which is then what is evaluated and kept; 0 is off.
        precision: of activations; the mixed ones keep weights and statistics in float32.
        validate_every: epochs from one validation to the next.
        patience: epochs without a better validation accuracy after which the training ends.
        export: the epoch whose weights are the result: the one with the best validation accuracy, the first of several,
            or the last; by default "best" where something validates and "last" where nothing does.
        class_weight: "balanced" weighs an example of class c by n / (classes * n_c) in the loss, for n training
            examples of which n_c are of that class (see `train.training`).

    Options of one family's networks alone stand in a section of their own, such as `mobile` (see the records).
    """

    runtime: RuntimeConfig = RuntimeConfig()
    data: TrainDataConfig = TrainDataConfig(batch_size=96, augment=AugmentConfig(cutout=16))
    init: SourceText | None = None
    freeze_epochs: Annotated[int, Field(ge=0, le=10**7)] = 0
    freeze_statistics: bool = False
    backbone_learning_rate: Annotated[float, Field(gt=0, le=1000)] = 1.0
    distill: DistillConfig | None = None
    genotype: Annotated[str | dict[str, Any], AfterValidator(_absolute_where_a_path)] = USUAL_GENOTYPE
    channels: Annotated[int, Field(ge=1, le=4096)] | None = None
    layers: Annotated[int, Field(ge=1, le=100)] | None = None
    stem: Literal["cifar", "imagenet"] = "cifar"
    auxiliary_weight: Rate = 0.4
    drop_path: Fraction = 0.2
    label_smoothing: Fraction = 0.0
    epochs: Positive = 600
    steps_per_epoch: Positive | None = None
    weights: WeightsConfig = WeightsConfig(min_learning_rate=0.0)
    ema_decay: Fraction = 0.0
    precision: Precision = "float32"
    validate_every: Positive = 1
    sync_batch_norm: bool = False
    patience: Positive | None = None
    export: Literal["best", "last"] | None = None
    class_weight: Literal["none", "balanced"] = "none"

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """What is left out is that of the network that the training starts from."""
        if not isinstance(given, dict) or given.get("init") is None:
            return given
        return completed(given, cls.model_fields["data"].default.model_dump(exclude_none=True))

    @model_validator(mode="after")
    def _check_start(self):
        if self.freeze_epochs > self.epochs:
            raise ValueError("freeze_epochs must not exceed epochs")
        return self

    @model_validator(mode="after")
    def _chosen_by_a_validation(self):
        needing = {"patience": self.patience is not None, "export: best": self.export == "best"}
        for name, is_asked in needing.items():
            if is_asked and not self.validates:
                raise ValueError(f"{name} needs a validation, and data.validation is {self.data.validation}")
        return self

    @property
    def validates(self) -> bool:
        """Whether anything is chosen by a validation."""
        return self.data.validation not in ("none", BEFORE)

    @property
    def exports_best(self) -> bool:
        """Whether the epoch with the best validation accuracy is the result, and not the last one."""
        return self.validates if self.export is None else self.export == "best"
