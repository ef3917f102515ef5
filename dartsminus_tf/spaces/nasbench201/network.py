"""The network that a NAS-Bench-201 cell stands for. Convolutions carry no bias, batch norms are affine."""

from types import MappingProxyType

import keras
import tensorflow as tf

from dartsminus_tf.ops.layers import ConvNorm, Identity, Pool
from dartsminus_tf.spaces.nasbench201.genotype import EDGES, NODES, BenchmarkGenotype
from dartsminus_tf.spaces.nasbench201.skeleton import Skeleton
from dartsminus_tf.spaces.network import DerivedNetwork, check_fixed


def build_network(
    genotype: BenchmarkGenotype,
    channels: int = 16,
    layers: int = 5,
    num_classes: int = 10,
    stem: str = "cifar",
    auxiliary: bool = False,
    drop_path: float = 0.0,
) -> "BenchmarkNetwork":
    """The network of `genotype`, built on its first call.

    Args:
        genotype: a cell.
        channels: C, width of the first stage.
        layers: N, the cells of a stage.
        num_classes: of the data set.
        stem, auxiliary, drop_path: as in networks of DARTS cells; the benchmark has these values alone.

    Raises:
        UsageError: on a stem, auxiliary head or drop path that the benchmark lacks, or numbers that make no network.
    """
    check_fixed("NAS-Bench-201", stem=(stem, "cifar"), auxiliary=(auxiliary, False), drop_path=(drop_path, 0.0))
    return BenchmarkNetwork(genotype, channels, layers, num_classes)


class Cell(keras.layers.Layer):
    """`[N, H, W, C] -> [N, H, W, C]`: every node is the sum of what its edges bring; `none` brings nothing."""

    def __init__(self, genotype: BenchmarkGenotype, channels: int, **kwargs):
        super().__init__(**kwargs)
        operations = {
            edge: _operation(name, channels) for edge, name in zip(EDGES, genotype.ops, strict=True) if name != "none"
        }
        self.operations = MappingProxyType(operations)  # Keras saves no dictionary with such keys; it saves the list
        self.layers = list(self.operations.values())

    def build(self, input_shape):
        for layer in self.layers:
            layer.build(input_shape)

    def call(self, x, training=False):
        states = [x]
        for node in range(1, NODES + 1):
            addends = [
                operation(states[source], training=training)
                for (source, target), operation in self.operations.items()
                if target == node
            ]
            states.append(tf.add_n(addends) if addends else tf.zeros_like(x))
        return states[-1]


def _operation(name: str, channels: int) -> keras.layers.Layer:
    if name == "skip_connect":
        return Identity()
    if name == "avg_pool_3x3":
        return Pool("average")
    return ConvNorm(channels, kernel_size=int(name[-1]), relu="before")


class BenchmarkNetwork(DerivedNetwork):
    """A derived network; see `build_network`. Levels of `features` are 0, 1 and 2, the ends of the three stages."""

    family = "nasbench201"

    def __init__(self, genotype: BenchmarkGenotype, channels: int, layers: int, num_classes: int, **kwargs):
        super().__init__(genotype, num_classes, **kwargs)
        self.channels, self.num_layers = channels, layers
        self.skeleton = Skeleton(lambda width: Cell(genotype, width), channels, layers, num_classes)

    def build(self, input_shape):
        self.image_size = tuple(input_shape[1:3])
        self.skeleton.build(input_shape)

    def _outputs(self, x, training) -> list[tf.Tensor]:
        return self.skeleton.outputs(x, lambda cell, state: cell(state, training=training), training)

    def call(self, x, training=False):
        return self.skeleton.head(self._outputs(x, training)[-1], training=training)

    def features(self, x, training=False) -> dict[str, tf.Tensor]:
        outputs = self._outputs(x, training)
        return {str(level): outputs[index] for level, index in enumerate(self.skeleton.stages)}

    @property
    def levels(self) -> dict[str, dict[str, int]]:
        return {
            str(level): {"channels": self.channels << level, "stride": 2**level}
            for level in range(len(self.skeleton.stages))
        }

    @property
    def backbone_variables(self) -> list[keras.Variable]:
        layers = (self.skeleton.stem, *self.skeleton.blocks)
        return [variable for layer in layers for variable in layer.variables]

    @property
    def classifier_variables(self) -> list[keras.Variable]:
        return self.skeleton.head.classifier.variables

    def get_config(self):
        return {
            "genotype": self.genotype.to_dict(),
            "channels": self.channels,
            "layers": self.num_layers,
            "num_classes": self.num_classes,
        }
