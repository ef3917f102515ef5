"""The toy's supernet and its derived networks: a stem of stride 4, the chain, a classifier."""

import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.errors import require
from dartsminus_tf.mixed.graph import MixedGraph
from dartsminus_tf.ops.layers import Classifier, ConvNorm
from dartsminus_tf.ops.registry import build_primitive
from dartsminus_tf.spaces.network import DerivedNetwork, check_fixed
from dartsminus_tf.spaces.supernet import SearchNetwork
from toy_family.genotype import EDGES, PRIMITIVES, ToyGenotype

LEVELS = ("3", "4", "5")  # the outputs of the three operations have strides 8, 16 and 32


class ToySupernet(SearchNetwork):
    """`alphas` is {"chain": [3, 2]}."""

    def __init__(self, space, channels, layers, num_classes, options=None):
        super().__init__(space, options)
        check_fixed("the toy family", layers=(layers, len(EDGES)))
        self.stem, self.classifier = ConvNorm(channels, 7, stride=4), Classifier(num_classes)
        names = space.candidates["chain"]
        self.chain = MixedGraph(EDGES, names, channels, self.options.auxiliary, self.options.partial_channels)

    def build(self, input_shape):
        check_sides(input_shape)
        self.stem.build(input_shape)
        self.chain.build()
        self.classifier.build((None, None, None, self.chain.channels))
        self.build_architecture({"chain": (len(EDGES), len(PRIMITIVES))})

    def call(self, x, training=False):
        weights, beta = self.softmax_alphas()["chain"], tf.convert_to_tensor(self.beta)
        states = self.chain([self.stem(x, training=training)], weights, beta, training=training)
        return self.classifier(states[-1])

    @property
    def weighted_layers(self):
        return (self.stem, self.chain, self.classifier)

    def genotype(self):
        return ToyGenotype([PRIMITIVES[column] for column in np.argmax(self.alpha_values()["chain"], axis=-1)])


class ToyNetwork(DerivedNetwork):
    """The network of a genotype. It has none of the options `stem`, `auxiliary` and `drop_path` of a training."""

    family = "toy"

    def __init__(self, genotype, channels=8, layers=3, num_classes=10, stem="imagenet", auxiliary=False, drop_path=0.0):
        super().__init__(genotype, num_classes)
        check_fixed("the toy family", layers=(layers, 3), stem=(stem, "imagenet"), auxiliary=(auxiliary, False))
        check_fixed("the toy family", drop_path=(drop_path, 0.0))
        require(channels > 0 and channels % 2 == 0, "channels must be even", channels)
        self.channels = channels
        self.stem, self.classifier = ConvNorm(channels, 7, stride=4), Classifier(num_classes)
        self.chain = [build_primitive(name, channels, stride=2) for name in genotype.chain]

    def build(self, input_shape):
        check_sides(input_shape)
        self.image_size = tuple(input_shape[1:3])
        self.stem.build(input_shape)
        for layer in (*self.chain, self.classifier):
            layer.build((None, None, None, self.channels))

    def call(self, x, training=False):
        return self.classifier(self.features(x, training)["5"])

    def features(self, x, training=False):
        x, found = self.stem(x, training=training), {}
        for level, operation in zip(LEVELS, self.chain, strict=True):
            found[level] = x = operation(x, training=training)
        return found

    @property
    def levels(self):
        return {level: {"channels": self.channels, "stride": 2 ** int(level)} for level in LEVELS}

    @property
    def backbone_variables(self):
        return [variable for layer in (self.stem, *self.chain) for variable in layer.variables]

    def get_config(self):
        return {"genotype": self.genotype.to_dict(), "channels": self.channels, "num_classes": self.num_classes}


def check_sides(shape):
    require(all(side is None or side % 32 == 0 for side in shape[1:3]), "Image sides must be multiples of 32", shape)
