"""Typed run configs: YAML files and dotted overrides in, checked pydantic models out. Imports no TensorFlow.

Unknown keys are refused, ranges and rules between fields are checked when the config is built, and the resolved
config is saved with the run.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dartsminus_tf.foundation.typed import Fraction, OpenFraction, Positive, Precision, Rate, Strict


class RuntimeConfig(Strict):
    """How the process runs. None of it changes what is computed, except `seed` and `deterministic`.

    Args:
        keep_checkpoints: the newest states that are kept; the best one is kept besides.
        save_minutes: a state is saved after every epoch and every so many minutes.
        on_nonfinite: what a loss that is not finite does: "stop" the run, or "step_back" to the last good state and go
            on with half of its learning rates.
        distribute: None, "one_device", "mirrored" (all GPUs of a machine) or "multi_worker" (see docs/long_runs.md).
        verbose: "auto", a progress bar on a terminal and one line an epoch; 1, both; 2, the lines; 0, neither.
        nasbench201_table: a file of NAS-Bench-201's true accuracies (see `spaces.nasbench201.table`), against which a
            search in that space is followed.
    """

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    deterministic: bool = False
    inter_op_threads: Positive | None = None
    intra_op_threads: Positive | None = None
    keep_checkpoints: Positive = 2
    save_minutes: Annotated[float, Field(gt=0, le=10**5)] = 10.0
    on_nonfinite: Literal["stop", "step_back"] = "stop"
    distribute: Literal["one_device", "mirrored", "multi_worker"] | None = None
    verbose: Literal["auto", 0, 1, 2] = "auto"
    nasbench201_table: Annotated[str, Field(min_length=1, max_length=4096)] | None = None


class AugmentConfig(Strict):
    """What happens to a training image.

    `crop_padding`, `flip`, `cutout` are those of CIFAR (pixels). `random_resized_crop` is ImageNet's: the least
    share of the area that a crop keeps; it replaces `crop_padding`. `color_jitter` is [brightness,
    contrast, saturation, hue]. `policy` is AutoAugment's for ImageNet, or RandAugment with `randaugment_operations` at
    `randaugment_level` (0 to 10). `mixup` is alpha of its Beta distribution; 0 is off.
    """

    crop_padding: Annotated[int, Field(ge=0, le=512)] = 4
    flip: bool = True
    cutout: Annotated[int, Field(ge=0, le=512)] = 0
    random_resized_crop: OpenFraction | None = None
    color_jitter: tuple[Rate, Rate, Rate, Annotated[float, Field(ge=0, le=0.5)]] | None = None
    policy: Literal["autoaugment", "randaugment"] | None = None
    randaugment_operations: Annotated[int, Field(ge=1, le=10)] = 2
    randaugment_level: Annotated[float, Field(ge=0, le=10)] = 9.0
    mixup: Annotated[float, Field(ge=0, le=100)] = 0.0


class DataConfig(Strict):
    """Images and their labels.

    Args:
        name: "digits" (embedded), "folder" (class folders under `data_dir`), or a TFDS image-classification set.
        data_dir: TFDS directory, or the image folder.
        download: let TFDS download and prepare a missing set.
        image_size: pixels; smaller and larger images are resized to this square.
        center_crop: the share of the shorter side that the square in the centre has which is evaluated (0.875 in
            ImageNet's recipes); by default the whole image, squeezed into the square.
        mean, std: of the pixels divided by 255, for each channel; by default measured on the training images.
        in_memory: keep decoded images in memory. "auto" does so up to 2 GiB, unless crops have to be cut from the
            images as they are stored.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)] = "digits"
    data_dir: str | None = None
    download: bool = False
    image_size: Annotated[int, Field(ge=4, le=2048)] = 32
    center_crop: Annotated[float, Field(gt=0, le=1)] | None = None
    batch_size: Positive = 64
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    in_memory: Literal["auto", True, False] = "auto"
    train_limit: Positive | None = None
    test_limit: Positive | None = None
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _check(self):
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be positive")
        if self.in_memory is True and self.center_crop is not None:
            raise ValueError("in_memory=true keeps squeezed images, so it excludes center_crop")
        if self.name == "folder" and self.data_dir is None:
            raise ValueError("data set 'folder' needs data_dir")
        return self


class BetaConfig(Strict):
    """Schedule of the auxiliary skip's weight; epochs counted from 0. `max_epoch` None is the search's length."""

    initial: Rate = 1.0
    schedule: Literal["linear", "cosine", "slow_cosine", "constant"] = "linear"
    start_epoch: Annotated[int, Field(ge=0)] = 0
    stop_epoch: Annotated[int, Field(ge=0)] | None = None


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
    """

    target_mflops: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    weight: Rate = 1.0


class SearchConfig(Strict):
    """A search run. Defaults are the paper's for CIFAR-10 (as in the released code), on the embedded digits.

    Args:
        layers: number of cells; in space nasbench201 the cells of a stage (5 in the benchmark).
        alpha_start_epoch: epochs at the start (of each stage, if progressive) in which alpha does not move: 10 in
            P-DARTS, 15 in PC-DARTS.
        auxiliary: the auxiliary operation of DARTS-: the skip, or a 1x1 convolution that starts as the identity.
        partial_channels: K of PC-DARTS: operations see 1/K of the channels; 1 is off.
        edge_normalization: PC-DARTS' softmax over the edges that enter a node.
        skip_dropout: initial rate of the dropout on `skip_connect` candidates; a stage has its own.
        progressive: P-DARTS; its stages replace `layers`, `epochs` and `skip_dropout`.
        early_stop: RobustDARTS' early stop.
        sync_batch_norm: with several devices, batch norms take the statistics of the global batch.
        flops: what the network that is found should cost (space mobilenet).
        rematerialize: less memory for more time, with the same numbers; not with skip dropout, nor in S4.
        precision: of activations; the mixed ones keep weights, alpha and statistics in float32 (space mobilenet).
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

    @model_validator(mode="after")
    def _check(self):
        for name in ("flops", "precision"):
            if self.space != "mobilenet" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is for space mobilenet")
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
        if self.channels % 2:
            raise ValueError("channels must be even")
        if self.channels % (2 * self.partial_channels):
            raise ValueError("channels / partial_channels must be even")
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


class MobileConfig(Strict):
    """Options of networks of space mobilenet; see `spaces.mobilenet.network.MobileNetwork`."""

    squeeze_excitation: bool = False
    activation: Literal["relu6", "relu", "swish"] = "relu6"
    width_multiplier: Annotated[float, Field(gt=0, le=10)] = 1.0
    widths: Annotated[tuple[Positive, ...], Field(min_length=6, max_length=6)] | None = None
    dropout: Fraction = 0.0


class TrainConfig(Strict):
    """Training of a derived network. Defaults are the paper's for CIFAR-10 (as in the released code).

    Args:
        genotype: a published name (see `dartsminus_tf.zoo`), a JSON file, a search's run directory, or the genotype.
        channels, layers: of the first cells, and the number of cells; by default the paper's for the genotype's space
            (DARTS cells 36 and 20, NAS-Bench-201 16 and 5 a stage).
        drop_path: rate at the last epoch; it grows linearly with the epoch.
        sync_batch_norm: with several devices, batch norms take the statistics of the global batch.
        ema_decay: of the average of the weights, which is then what is evaluated and kept; 0 is off.
        precision: of activations; the mixed ones keep weights and statistics in float32.
        mobile: options of networks of space mobilenet.
    """

    runtime: RuntimeConfig = RuntimeConfig()
    data: DataConfig = DataConfig(batch_size=96, augment=AugmentConfig(cutout=16))
    genotype: str | dict[str, Any] = "cifar10_s0_best"
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
    mobile: MobileConfig | None = None
    validate_every: Positive = 1
    sync_batch_norm: bool = False


class QuickstartConfig(Strict):
    """The whole chain: search, train, export, detect. Detection's own settings are a file of Model Garden's form."""

    search: SearchConfig
    train: TrainConfig
    scenes: dict[str, Annotated[int, Field(gt=0)]]
    detection_config: str
