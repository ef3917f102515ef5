"""The network that a DARTS genotype stands for: stem, cells without alpha or auxiliary skip, classifier.

Stems: "cifar" is a 3x3 convolution to 3C; "imagenet" three stride-2 convolutions, so that the cells work at strides
8, 16 and 32. The auxiliary head (a training aid after cell 2L//3) is left out in inference.
"""

import keras
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops.layers import Classifier, ConvNorm, FactorizedReduce, Identity, uniform_fan_in
from dartsminus_tf.ops.norm import BatchNorm
from dartsminus_tf.ops.registry import build_primitive, primitive_names
from dartsminus_tf.spaces.darts.genotype import CellGenotype
from dartsminus_tf.spaces.darts.plan import CellPlan, check_image_size, plan_cells, reduction_layers
from dartsminus_tf.spaces.network import DerivedNetwork

STEMS = ("cifar", "imagenet")


def build_network(
    genotype: CellGenotype,
    channels: int = 36,
    layers: int = 20,
    num_classes: int = 10,
    stem: str = "cifar",
    auxiliary: bool = False,
    drop_path: float = 0.0,
) -> "Network":
    """The network of `genotype`, built on its first call.

    Args:
        genotype: two cells.
        channels: width of the first cells' states; even.
        layers: number of cells, at least 3.
        num_classes: of the data set.
        stem: "cifar" (image sides a multiple of 4) or "imagenet" (of 32).
        auxiliary: add the auxiliary head: `model(x, training=True)` then returns (logits, auxiliary logits).
        drop_path: probability of dropping an operation's output for a sample while training; 0 leaves drop path out,
            otherwise `drop_path_rate` is a variable that a schedule may move.

    Raises:
        UsageError: on an unknown stem or operation, or numbers that make no network.
    """
    return Network(genotype, channels, layers, num_classes, stem, auxiliary, drop_path)


class Cell(keras.layers.Layer):
    """One cell: `(s0, s1) -> [N, H', W', len(concat) * C]`."""

    def __init__(self, genotype: CellGenotype, plan: CellPlan, **kwargs):
        super().__init__(**kwargs)
        self.plan = plan
        kind = "reduce" if plan.reduction else "normal"
        entries, self.concat = getattr(genotype, kind), getattr(genotype, f"{kind}_concat")
        self.sources = [source for _, source in entries]
        channels = plan.channels
        if plan.halve_input0:
            self.preprocess0 = FactorizedReduce(channels)
        else:
            self.preprocess0 = ConvNorm(channels, relu="before")
        self.preprocess1 = ConvNorm(channels, relu="before")
        self.operations = [
            build_primitive(name, channels, stride=2 if plan.reduction and source < 2 else 1)
            for name, source in entries
        ]

    def build(self, input_shape=None):
        self.preprocess0.build((None, None, None, self.plan.input_channels[0]))
        self.preprocess1.build((None, None, None, self.plan.input_channels[1]))
        for operation in self.operations:
            operation.build((None, None, None, self.plan.channels))

    def call(self, s0, s1, drop_path=None, training=False):
        """`drop_path` is the rate as a scalar tensor, or None for none."""
        states = [self.preprocess0(s0, training=training), self.preprocess1(s1, training=training)]
        for first in range(0, len(self.operations), 2):
            pair = [self._apply(index, states, drop_path, training) for index in (first, first + 1)]
            states.append(pair[0] + pair[1])
        return tf.concat([states[index] for index in self.concat], axis=-1)

    def _apply(self, index: int, states, drop_path, training: bool):
        operation = self.operations[index]
        y = operation(states[self.sources[index]], training=training)
        return y if drop_path is None or isinstance(operation, Identity) else fn.drop_path(y, drop_path)


class ImageNetStem(keras.layers.Layer):
    """Three stride-2 convolutions: returns the images at stride 4 and at stride 8, both of width C."""

    def __init__(self, channels: int, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.stem0 = [ConvNorm(channels // 2, 3, 2, relu="after"), ConvNorm(channels, 3, 2)]
        self.stem1 = ConvNorm(channels, 3, 2, relu="before")

    def build(self, input_shape):
        self.stem0[0].build(input_shape)
        self.stem0[1].build((None, None, None, self.channels // 2))
        self.stem1.build((None, None, None, self.channels))

    def call(self, x, training=False):
        for layer in self.stem0:
            x = layer(x, training=training)
        return x, self.stem1(x, training=training)


class AuxiliaryHead(keras.layers.Layer):
    """ReLU, 5x5 average pool, 1x1 convolution to 128, 2x2 convolution to 768, linear; batch norms and ReLUs between."""

    def __init__(self, num_classes: int, pool_stride: int, **kwargs):
        super().__init__(**kwargs)
        self.pool_stride = pool_stride
        self.reduce = ConvNorm(128, relu="after")
        self.norm = BatchNorm()
        self.classifier = Classifier(num_classes)

    @property
    def smallest_input(self) -> int:
        """The least height and width, in pixels, of which the pool and the convolution leave something."""
        return 5 + self.pool_stride

    def build(self, input_shape):
        for size in input_shape[1:3]:
            if size is not None and size < self.smallest_input:
                raise UsageError(
                    f"The auxiliary head needs a {self.smallest_input}x{self.smallest_input} map or larger after the "
                    f"second reduction: use larger images, or auxiliary=False. Received: {size} pixels"
                )
        self.reduce.build(input_shape)
        self.kernel = self.add_weight(shape=(2, 2, 128, 768), initializer=uniform_fan_in(2 * 2 * 128), name="kernel")
        self.norm.build((None, None, None, 768))
        self.classifier.build((None, None, None, 768))

    def call(self, x, training=False):
        x = tf.nn.avg_pool2d(tf.nn.relu(x), 5, self.pool_stride, "VALID")
        x = tf.nn.conv2d(self.reduce(x, training=training), tf.convert_to_tensor(self.kernel), 1, "VALID")
        return self.classifier(tf.nn.relu(self.norm(x, training=training)))


class Network(DerivedNetwork):
    """A derived network of DARTS cells; see `build_network`.

    Levels of `features` are 3, 4, 5 after the ImageNet stem and 0, 1, 2 after the CIFAR stem.
    """

    family = "darts"

    def __init__(self, genotype, channels, layers, num_classes, stem, auxiliary, drop_path=0.0, **kwargs):
        super().__init__(genotype, num_classes, **kwargs)
        genotype.check_primitives(primitive_names(), "the registry of operations")
        if stem not in STEMS:
            raise UsageError(f"stem must be one of {', '.join(STEMS)}. Received: {stem!r}")
        if not 0 <= drop_path < 1:
            raise UsageError(f"drop_path must be in [0, 1). Received: {drop_path}")
        self.channels, self.num_layers = channels, layers
        self.stem_kind, self.auxiliary, self.initial_drop_path = stem, auxiliary, drop_path
        imagenet = stem == "imagenet"
        stem_channels = channels if imagenet else 3 * channels
        concat = {"normal": len(genotype.normal_concat), "reduce": len(genotype.reduce_concat)}
        plans = plan_cells(channels, layers, stem_channels, concat, halve_first=imagenet)
        self.stem = ImageNetStem(channels) if imagenet else ConvNorm(stem_channels, kernel_size=3)
        self.cells = [Cell(genotype, plan, name=f"cell_{i}") for i, plan in enumerate(plans)]
        self.classifier = Classifier(num_classes)
        self.auxiliary_head = AuxiliaryHead(num_classes, pool_stride=2 if imagenet else 3) if auxiliary else None

    @property
    def cell_stride(self) -> int:
        """Stride of the first cells with respect to the image."""
        return 8 if self.stem_kind == "imagenet" else 1

    def build(self, input_shape):
        check_image_size(input_shape, self.cell_stride)
        self.image_size = tuple(input_shape[1:3])
        self.stem.build(input_shape)
        for cell in self.cells:
            cell.build()
        self.classifier.build((None, None, None, self._output_channels(len(self.cells) - 1)))
        if self.auxiliary_head is not None:
            sides = [size and size // (4 * self.cell_stride) for size in self.image_size]
            self.auxiliary_head.build((None, *sides, self._output_channels(self._auxiliary_cell)))
        self.build_drop_path(self.initial_drop_path)

    @property
    def _auxiliary_cell(self) -> int:
        return reduction_layers(self.num_layers)[1]

    def _output_channels(self, index: int) -> int:
        cell = self.cells[index]
        return cell.plan.channels * len(cell.concat)

    def cell_outputs(self, x, training=False, drop_path=None) -> list[tf.Tensor]:
        """The outputs of all cells for images [N, H, W, 3]."""
        if self.stem_kind == "imagenet":
            s0, s1 = self.stem(x, training=training)
        else:
            s0 = s1 = self.stem(x, training=training)
        outputs = []
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, drop_path=drop_path, training=training)
            outputs.append(s1)
        return outputs

    def call(self, x, training=False):
        drops = training and self.drop_path_rate is not None
        drop_path = tf.convert_to_tensor(self.drop_path_rate) if drops else None
        outputs = self.cell_outputs(x, training, drop_path)
        logits = self.classifier(outputs[-1])
        if training and self.auxiliary_head is not None:
            return logits, self.auxiliary_head(outputs[self._auxiliary_cell], training=True)
        return logits

    def call_with_still_backbone(self, x):
        outputs = self.cell_outputs(x)
        logits = self.classifier(outputs[-1])
        if self.auxiliary_head is None:
            return logits
        return logits, self.auxiliary_head(outputs[self._auxiliary_cell], training=True)

    def features(self, x, training=False) -> dict[str, tf.Tensor]:
        outputs = self.cell_outputs(x, training)
        return {level: outputs[index] for level, index in self._level_cells.items()}

    @property
    def levels(self) -> dict[str, dict[str, int]]:
        return {
            level: {"channels": self._output_channels(index), "stride": 2 ** int(level)}
            for level, index in self._level_cells.items()
        }

    @property
    def _level_cells(self) -> dict[str, int]:
        """The last cell at each level (before a reduction, or the last of all)."""
        first, second = reduction_layers(self.num_layers)
        base = self.cell_stride.bit_length() - 1
        return {str(base): first - 1, str(base + 1): second - 1, str(base + 2): self.num_layers - 1}

    @property
    def backbone_variables(self) -> list[keras.Variable]:
        return [variable for layer in (self.stem, *self.cells) for variable in layer.variables]

    def get_config(self):
        return {
            "genotype": self.genotype.to_dict(),
            "channels": self.channels,
            "layers": self.num_layers,
            "num_classes": self.num_classes,
            "stem": self.stem_kind,
            "auxiliary": self.auxiliary,
            "drop_path": self.initial_drop_path,
        }
