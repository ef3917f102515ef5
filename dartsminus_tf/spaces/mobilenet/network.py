"""The network that a mobile genotype stands for, with squeeze-and-excitation, swish, widths and paddings as options."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.mobilenet.blocks import InvertedResidual, MobileHead, MobileStem, activation_of
from dartsminus_tf.spaces.mobilenet.genotype import SKIP, MobileGenotype, block_of
from dartsminus_tf.spaces.mobilenet.plan import (
    HEAD,
    LEVEL_STAGES,
    PYTORCH,
    SEPARABLE,
    STEM,
    WIDTHS,
    check_convention,
    plan_network,
)
from dartsminus_tf.spaces.network import DerivedNetwork, check_fixed

OPTIONS = (
    *("squeeze_excitation", "activation", "width_multiplier", "widths", "stem_width", "separable_width", "head_width"),
    *("padding", "norm_epsilon", "dropout"),
)


def build_network(
    genotype: MobileGenotype,
    channels: int = STEM,
    layers: int | None = None,
    num_classes: int = 1000,
    stem: str = "imagenet",
    auxiliary: bool = False,
    drop_path: float = 0.0,
    depths: Sequence[int] | None = None,
    affine: bool = True,
    **options,
) -> "MobileNetwork":
    """The network of `genotype`, built on its first call.

    Args:
        genotype: a `MobileGenotype`.
        channels: of the space's stem, which scales all widths: channels / 32 multiplies `width_multiplier`.
        layers, depths: the genotype's own number of layers, and that of each stage; nothing else is possible.
        affine: an option of supernets; norms of networks always are.
        num_classes: of the data set.
        stem, auxiliary: as in networks of DARTS cells; here always "imagenet" and False.
        drop_path: probability of leaving a block out of its residual sum for a sample while training.
        options: those of `MobileNetwork`.

    Raises:
        UsageError: on options that make no network.
    """
    check_fixed("space mobilenet", stem=(stem, "imagenet"), auxiliary=(auxiliary, False))
    depth = sum(genotype.depths)
    if layers not in (None, depth):
        raise UsageError(f"layers must be the genotype's own {depth}, or left out. Received: {layers}")
    if depths is not None and tuple(depths) != genotype.depths:
        raise UsageError(f"depths must be the genotype's own {genotype.depths}, or left out. Received: {depths}")
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise UsageError(f"Networks of space mobilenet have no such option. Received: {', '.join(unknown)}")
    options["width_multiplier"] = options.get("width_multiplier", 1.0) * channels / STEM
    return MobileNetwork(genotype, num_classes, drop_path=drop_path, **options)


class MobileNetwork(DerivedNetwork):
    """A derived network; see `build_network`. Levels of `features` are 2 to 5, strides 4 to 32.

    Args:
        squeeze_excitation: one in every block, between its depthwise convolution and its projection.
        activation: "relu6", "relu" or "swish".
        width_multiplier: of all widths, rounded to multiples of 8.
        widths: of the six stages before they are multiplied; the space's by default.
        stem_width, separable_width, head_width: of the first convolution, the separable one that follows, the last 1x1
            convolution (which a multiplier below 1 leaves alone), before they are multiplied.
        padding, norm_epsilon: see `plan.Convention`.
        dropout: rate before the classifier.
    """

    family = "mobilenet"

    def __init__(
        self,
        genotype: MobileGenotype,
        num_classes: int,
        squeeze_excitation: bool = False,
        activation: str = "relu6",
        width_multiplier: float = 1.0,
        widths: Sequence[int] | None = None,
        stem_width: int = STEM,
        separable_width: int = SEPARABLE,
        head_width: int = HEAD,
        padding: str = PYTORCH.padding,
        norm_epsilon: float = PYTORCH.norm_epsilon,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        **kwargs,
    ):
        super().__init__(genotype, num_classes, **kwargs)
        for name, rate in (("dropout", dropout), ("drop_path", drop_path)):
            if not 0 <= rate < 1:
                raise UsageError(f"{name} must be in [0, 1). Received: {rate}")
        self.initial_drop_path = drop_path
        self._options = {
            "squeeze_excitation": squeeze_excitation,
            "activation": activation,
            "width_multiplier": width_multiplier,
            "widths": list(widths or WIDTHS),
            "stem_width": stem_width,
            "separable_width": separable_width,
            "head_width": head_width,
            "padding": padding,
            "norm_epsilon": norm_epsilon,
            "dropout": dropout,
        }
        self.activation = activation_of(activation)
        self.convention = convention = check_convention(padding, norm_epsilon)
        around = (stem_width, separable_width, head_width)
        self.plan = plan_network(genotype.depths, widths or WIDTHS, width_multiplier, *around)
        self.stem = MobileStem(self.plan.stem, self.plan.separable, activation, convention)
        self.blocks = [
            None
            if name == SKIP
            else InvertedResidual(layer, *block_of(name), activation, squeeze_excitation, convention)
            for name, layer in zip(genotype.operations["layers"], self.plan.layers, strict=True)
        ]
        self.head = MobileHead(self.plan.head, num_classes, activation, dropout, convention)

    def build(self, input_shape):
        self.image_size = tuple(input_shape[1:3])
        self.stem.build(input_shape)
        for block, layer in zip(self.blocks, self.plan.layers, strict=True):
            if block is not None:
                block.build((None, None, None, layer.in_channels))
        self.head.build((None, None, None, self.plan.layers[-1].channels))
        self.build_drop_path(self.initial_drop_path)

    def _outputs(self, x, training, drop_path=None) -> list[tf.Tensor]:
        """The outputs of all layers for images [N, H, W, 3]."""
        x, outputs = self.stem(x, training=training), []
        for block in self.blocks:
            x = x if block is None else block(x, drop_path=drop_path, training=training)
            outputs.append(x)
        return outputs

    def call(self, x, training=False):
        drops = training and self.drop_path_rate is not None
        drop_path = tf.convert_to_tensor(self.drop_path_rate) if drops else None
        return self.head(self._outputs(x, training, drop_path)[-1], training=training)

    def features(self, x, training=False) -> dict[str, tf.Tensor]:
        outputs, ends = self._outputs(x, training), self.plan.stage_ends
        return {level: outputs[ends[stage]] for level, stage in LEVEL_STAGES.items()}

    @property
    def levels(self) -> dict[str, dict[str, int]]:
        ends = self.plan.stage_ends
        return {
            level: {"channels": self.plan.layers[ends[stage]].channels, "stride": 2 ** int(level)}
            for level, stage in LEVEL_STAGES.items()
        }

    @property
    def backbone_variables(self) -> list[keras.Variable]:
        layers = (self.stem, *(block for block in self.blocks if block is not None))
        return [variable for layer in layers for variable in layer.variables]

    @property
    def classifier_variables(self) -> list[keras.Variable]:
        return self.head.classifier.variables

    def get_config(self):
        return {
            "genotype": self.genotype.to_dict(),
            "num_classes": self.num_classes,
            "drop_path": self.initial_drop_path,
            **self._options,
        }
