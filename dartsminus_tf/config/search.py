"""The config of a search."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from dartsminus_tf.config.data import DataConfig
from dartsminus_tf.config.distill import DistillConfig, SourceText
from dartsminus_tf.config.run import RuntimeConfig, WeightsConfig, with_sections
from dartsminus_tf.config.search_start import completed_search
from dartsminus_tf.foundation.config.typed import Fraction, OpenFraction, Positive, Precision, Rate, Strict
from dartsminus_tf.spaces.families import FAMILIES, SPACES, family_of, get_space


class BetaConfig(Strict):
    """Schedule of the auxiliary skip's weight; epochs counted from 0. `max_epoch` None is the search's length."""

    initial: Rate = 1.0
    schedule: Literal["linear", "cosine", "slow_cosine", "constant"] = "linear"
    start_epoch: Annotated[int, Field(ge=0)] = 0
    stop_epoch: Annotated[int, Field(ge=0)] | None = None


class AdamConfig(Strict):
    """Adam with L2 in the gradient, for alpha."""

    learning_rate: Annotated[float, Field(gt=0, le=100)] = 3e-4
    beta_1: Fraction = 0.5
    beta_2: Fraction = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    l2: Rate = 1e-3


class StageConfig(Strict):
    """One stage of a progressive search.

    Args:
        layers, epochs: of this stage's supernet and search.
        num_candidates: candidates of every edge in this stage; the first stage has all of the space's.
        skip_dropout: initial rate of the dropout on `skip_connect` candidates.
    """

    layers: Annotated[int, Field(ge=3, le=100)]
    epochs: Positive
    num_candidates: Annotated[int, Field(ge=2, le=100)]
    skip_dropout: Fraction = 0.0


class ProgressiveConfig(Strict):
    """P-DARTS (Chen et al., ICCV 2019): stages of deeper supernets with fewer candidates.

    Args:
        stages: the first comes first; layers must not shrink, candidates must not grow.
        skip_cap: M, the most `skip_connect` entries that the derived normal cell may have (2 in the paper); None: any.
    """

    stages: Annotated[tuple[StageConfig, ...], Field(min_length=1, max_length=20)]
    skip_cap: Annotated[int, Field(ge=0, le=8)] | None = None

    @model_validator(mode="after")
    def _check(self):
        for before, after in zip(self.stages, self.stages[1:], strict=False):
            if after.layers < before.layers:
                raise ValueError("layers must not shrink from stage to stage")
            if after.num_candidates > before.num_candidates:
                raise ValueError("num_candidates must not grow from stage to stage")
        return self


class EarlyStopConfig(Strict):
    """Early stop of RobustDARTS (Zela et al., ICLR 2020) on the dominant eigenvalue of alpha's Hessian.

    Args:
        window: k, the number of eigenvalues that are averaged, and how many of them lie between the two averages.
        factor: how far the average may grow over `window` eigenvalues; the search stops beyond it.
        every_epochs: epochs from one eigenvalue to the next.
        start_epoch: the first epoch (from 0) whose genotype an early stop may return; 10 in the released code.
    """

    window: Annotated[int, Field(ge=1, le=1000)] = 5
    factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.3
    every_epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    start_epoch: Annotated[int, Field(ge=0, le=10**7)] = 10

    @property
    def first_stop(self) -> int:
        """The first epoch (from 0) after which the search can stop."""
        before = max(self.window - 1, -(-self.start_epoch // self.every_epochs))
        return (before + self.window) * self.every_epochs


class FlopsConfig(Strict):
    """The penalty `weight * ((E - target) / target)^2` on the expected multiply-adds E, in millions for one image.

    They are those of the network at the search's own image size and width.

    Args:
        target_mflops, weight: of the penalty.
        at_most: what is derived costs at most the target: the most probable network of alpha that does, instead of the
            strongest candidate of every layer, whose cost the penalty only leads to.
    """

    target_mflops: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    weight: Rate = 1.0
    at_most: bool = False


class SearchConfig(with_sections("search_options")):
    """A search run. Defaults are the paper's for CIFAR-10 (as in the released code), on the embedded digits.

    Args:
        channels, layers: width of the first cells' states, or of the stem; number of cells, cells of a stage, or
            searched layers, as the space's family counts. By default the space's.
        alpha_start_epoch: epochs at the start (of each stage, if progressive) in which alpha does not move: 10 in
            P-DARTS, 15 in PC-DARTS.
        auxiliary: the auxiliary operation of DARTS-: the skip, or a 1x1 convolution that starts as the identity.
        partial_channels: K of PC-DARTS: operations see 1/K of the channels; 1 is off.
        edge_normalization: PC-DARTS' softmax over the edges that enter a node.
        skip_dropout: initial rate of the dropout on `skip_connect` candidates; a stage has its own.
        progressive: P-DARTS; its stages replace `layers`, `epochs` and `skip_dropout`.
        early_stop: RobustDARTS' early stop.
        sync_batch_norm: with several devices, batch norms take the statistics of the global batch.
        flops: what the network that is found should cost, in spaces whose costs are known.
        rematerialize: less memory for more time, with the same numbers; not with skip dropout, nor in S4.
        precision: of activations; the mixed ones keep weights, alpha and statistics in float32.
        init: a network that the supernet takes its weights from, see `pretrained.described.KINDS`. It says the layers,
            and `data.mean` and `data.std` where they are left out.
        distill: a teacher in the loss of the weight step; alpha follows the labels alone.

    What a space's family lacks is refused, see `spaces.family.FEATURES`. Options of one family's supernets alone stand
    in a section of their own, such as `mobile` (see the records).
    """

    runtime: RuntimeConfig = RuntimeConfig()
    data: DataConfig = DataConfig()
    space: str = "s0"
    method: Literal["darts-", "darts"] = "darts-"
    order: Literal["first", "second"] = "first"
    channels: Annotated[int, Field(ge=2, le=1024)] = 16
    layers: Annotated[int, Field(ge=1, le=100)] = 8
    epochs: Positive = 50
    steps_per_epoch: Positive | None = None
    alpha_start_epoch: Annotated[int, Field(ge=0)] = 0
    auxiliary: Literal["skip", "conv1"] = "skip"
    partial_channels: Annotated[int, Field(ge=1, le=64)] = 1
    edge_normalization: bool = False
    skip_dropout: Fraction = 0.0
    progressive: ProgressiveConfig | None = None
    early_stop: EarlyStopConfig | None = None
    flops: FlopsConfig | None = None
    rematerialize: bool = False
    precision: Precision = "float32"
    beta: BetaConfig = BetaConfig()
    weights: WeightsConfig = WeightsConfig()
    alpha: AdamConfig = AdamConfig()
    alpha_fraction: OpenFraction = 0.5
    validate_every: Positive = 1
    sync_batch_norm: bool = False
    init: SourceText | None = None
    distill: DistillConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_sizes(cls, given: Any) -> Any:
        """`channels` and `layers` are the space's, or what its section implies, where they are not given; its section
        and the data's statistics those of `init`."""
        if isinstance(given, dict) and given.get("init") is not None:
            given = completed_search(given)
        name = given.get("space") if isinstance(given, dict) else None
        if not isinstance(name, str) or name not in SPACES:
            return given
        family = family_of(name)
        section = given.get(family.section)
        implied = family.implied(section) if isinstance(section, dict) else {}
        return {**SPACES[name].defaults, **implied, **given}

    @field_validator("space")
    @classmethod
    def _check_space(cls, name: str) -> str:
        return get_space(name).name

    @model_validator(mode="after")
    def _check_section(self):
        family = family_of(self.space)
        for other in FAMILIES.values():
            if other is not family and other.search_options and getattr(self, other.section) is not None:
                raise ValueError(f"{other.section} is for searches in another space than {self.space}")
        for name, size in family.implied(self.space_options).items():
            if getattr(self, name) != size:
                raise ValueError(f"{name} must be {size}, as {family.section} implies, or left out")
        return self

    @property
    def space_options(self) -> dict[str, Any]:
        """The options that supernets of the space's family alone have, from their section."""
        family = family_of(self.space)
        own = getattr(self, family.section) if family.search_options else None
        return own.model_dump() if own else {}

    @model_validator(mode="after")
    def _check(self):
        family_of(self.space).check(self.space, dict(self))
        if self.precision == "mixed_float16" and self.order == "second":
            raise ValueError("order second takes float32 or mixed_bfloat16: it has no loss scaling")
        if self.rematerialize and self.sync_batch_norm:
            raise ValueError("rematerialize and sync_batch_norm exclude each other")
        if self.rematerialize and (self.skip_dropout or self.progressive):
            raise ValueError("rematerialize excludes skip_dropout and progressive, whose random draws it would repeat")
        if self.weights.optimizer != "sgd":
            raise ValueError("weights.optimizer of a search is sgd")
        if self.data.augment.mixup:
            raise ValueError("data.augment.mixup is for training; a search needs it to be 0")
        stages = self.progressive.stages if self.progressive else (self,)
        epochs = min(stage.epochs for stage in stages)
        if self.beta.start_epoch >= epochs:
            raise ValueError("beta.start_epoch must come before epochs")
        if self.alpha_start_epoch >= epochs:
            raise ValueError("alpha_start_epoch must come before epochs")
        if self.edge_normalization and self.progressive:
            raise ValueError("edge_normalization and progressive exclude each other")
        if self.progressive and self.runtime.distribute == "multi_worker":
            raise ValueError("progressive and runtime.distribute=multi_worker exclude each other")
        if self.early_stop and self.progressive:
            raise ValueError("early_stop and progressive exclude each other")
        if self.early_stop and self.early_stop.first_stop >= self.epochs:
            raise ValueError(
                f"early_stop could act after epoch {self.early_stop.first_stop} (counted from 0) at the earliest: "
                "it needs more epochs, a smaller window or an earlier start_epoch"
            )
        return self
