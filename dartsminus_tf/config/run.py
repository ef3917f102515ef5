"""What a config may say of the process and of the weights' optimizer: the same in searches and trainings."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, create_model, model_validator

from dartsminus_tf.foundation.config.paths import PathText
from dartsminus_tf.foundation.config.typed import Fraction, Positive, Rate, Strict
from dartsminus_tf.spaces.families import FAMILIES

_OLD_NAMES = [family.aliases["accuracy_table"] for family in FAMILIES.values() if "accuracy_table" in family.aliases]


def with_sections(options: str) -> type[Strict]:
    """A base for a config that has the section of every family whose record names a model as `options`."""
    models = {family.section: getattr(family, options) for family in FAMILIES.values()}
    fields = {section: (model | None, None) for section, model in models.items() if model is not None}
    return create_model("_Sections", __base__=Strict, **fields)


class RuntimeConfig(Strict):
    """How the process runs. A call that resumes a run may change all of it but `seed` and `xla`.

    Numbers depend on `seed`; on `distribute`, since batch statistics are those of a device's part (docs/long_runs.md);
    on `on_nonfinite`, which changes rates; in their last digits on `deterministic` and the threads.

    Args:
        xla: "step" compiles a whole step by XLA: slow to start, and its last digits differ, so a run keeps its choice.
        keep_checkpoints: the newest states that are kept; the best one is kept besides.
        save_minutes: a state is saved after every epoch and every so many minutes.
        on_nonfinite: what a loss that is not finite does: "stop" the run, or "step_back" to the last good state and go
            on with half of its learning rates.
        distribute: None, "one_device", "mirrored" (all GPUs of a machine) or "multi_worker" (see docs/long_runs.md).
        verbose: "auto", a progress bar on a terminal and one line an epoch; 1, both; 2, the lines; 0, neither.
        accuracy_table: a file of the true accuracies of a space's cells, against which a search there is followed.
    """

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    deterministic: bool = False
    xla: Literal["none", "step"] = "none"
    inter_op_threads: Positive | None = None
    intra_op_threads: Positive | None = None
    keep_checkpoints: Positive = 2
    save_minutes: Annotated[float, Field(gt=0, le=10**5)] = 10.0
    on_nonfinite: Literal["stop", "step_back"] = "stop"
    distribute: Literal["one_device", "mirrored", "multi_worker"] | None = None
    verbose: Literal["auto", 0, 1, 2] = "auto"
    accuracy_table: PathText | None = Field(None, validation_alias=AliasChoices("accuracy_table", *_OLD_NAMES))

    @model_validator(mode="after")
    def _check(self):
        if self.deterministic and self.xla != "none":
            raise ValueError("deterministic and xla exclude each other: XLA lacks deterministic operations")
        return self


class WeightsConfig(Strict):
    """The weights' optimizer: L2 in the gradient, a rate per epoch from `learning_rate` to `min_learning_rate`.

    Args:
        optimizer: SGD as PyTorch defines it, or RMSprop as MobileNets use it (epsilon inside the square root).
        warmup_epochs: epochs in which the rate rises linearly to `learning_rate`.
        rho, epsilon: of RMSprop.
        clip_norm: global norm that gradients are clipped to, before L2.
    """

    optimizer: Literal["sgd", "rmsprop"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, le=100)] = 0.025
    min_learning_rate: Rate = 0.001
    schedule: Literal["cosine", "linear"] = "cosine"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    momentum: Fraction = 0.9
    nesterov: bool = False
    rho: Fraction = 0.9
    epsilon: Annotated[float, Field(gt=0)] = 1e-3
    l2: Rate = 3e-4
    clip_norm: Annotated[float, Field(gt=0)] | None = 5.0

    @model_validator(mode="after")
    def _check(self):
        if self.min_learning_rate > self.learning_rate:
            raise ValueError("min_learning_rate must not exceed learning_rate")
        if self.nesterov and self.optimizer != "sgd":
            raise ValueError("nesterov is for optimizer sgd")
        return self
