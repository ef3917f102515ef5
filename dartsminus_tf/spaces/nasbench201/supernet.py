"""The NAS-Bench-201 supernet: one mixed operation on every edge of every cell, one alpha for all cells.

As in the benchmark's own search code, candidate convolutions carry a bias, their batch norms learn nothing, and the
average pool has no norm.
"""

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.mixed.candidates import Candidate, unstack
from dartsminus_tf.mixed.graph import MixedGraph
from dartsminus_tf.mixed.operation import Term
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.spaces.nasbench201.genotype import PRIMITIVES, BenchmarkGenotype
from dartsminus_tf.spaces.nasbench201.skeleton import Skeleton
from dartsminus_tf.spaces.nasbench201.space import CELL_EDGES
from dartsminus_tf.spaces.supernet import SearchNetwork


class ConvCandidate(Candidate):
    """`nor_conv_k`: ReLU, convolution with a bias, batch norm."""

    def __init__(self, primitive, edges, channels, bank):
        super().__init__(primitive, edges, channels, bank)
        self.kernel_size = int(primitive[-1])
        self.rows = self.new_rows()

    def build(self, input_shape=None):
        size, channels = self.kernel_size, self.channels
        fan_in = size * size * channels
        self.kernel = self.stacked((size, size, channels, channels), fan_in, "kernel")
        self.bias = self.stacked((channels,), fan_in, "bias")

    def open(self, norms, training):
        kernels, biases = unstack(self.kernel), unstack(self.bias)

        def apply(source, slot, weight):
            y = tf.nn.bias_add(fn.conv2d(source.relu, kernels[slot]), biases[slot])
            return Term(norms(y, self.rows[slot], weight.spread))

        return apply


class PlainPoolCandidate(Candidate):
    """`avg_pool_3x3` without a norm: the same for all edges that leave a state."""

    def open(self, norms, training):
        def apply(source, slot, weight):
            return Term(source.once(self.name, lambda: fn.avg_pool(source.x, source.stride)), weight.scalar)

        return apply


KINDS = {"nor_conv_1x1": ConvCandidate, "nor_conv_3x3": ConvCandidate, "avg_pool_3x3": PlainPoolCandidate}


class BenchmarkSupernet(SearchNetwork):
    """The supernet; see `dartsminus_tf.build_supernet`, where `layers` is N, the cells of a stage.

    `alphas` is {"cell": [6, 5]}.
    """

    def __init__(self, space, channels: int, layers: int, num_classes: int, options=None, **kwargs):
        super().__init__(space, options, **kwargs)
        self.channels, self.num_layers, self.num_classes = channels, layers, num_classes
        self.skeleton = Skeleton(self._cell, channels, layers, num_classes)

    def _cell(self, channels: int) -> MixedGraph:
        options = self.options
        return MixedGraph(
            CELL_EDGES,
            self.space.candidates["cell"],
            channels,
            options.auxiliary,
            options.partial_channels,
            self.skip_dropout,
            KINDS,
            options.rematerialize,
        )

    def build(self, input_shape):
        self.skeleton.build(input_shape)
        shapes = {"cell": (len(CELL_EDGES), len(self.space.primitives))}
        self.build_architecture(shapes, CELL_EDGES)

    def call(self, x, training=False):
        weights, edges, beta = self.softmax_alphas(), self.normalised_edges(), tf.convert_to_tensor(self.beta)

        def on_cell(cell: keras.layers.Layer, state):
            return cell([state], weights["cell"], beta, edges.get("cell"), training=training)[-1]

        return self.skeleton.head(self.skeleton.outputs(x, on_cell, training)[-1], training=training)

    @property
    def weighted_layers(self):
        return (self.skeleton,)

    def genotype(self) -> BenchmarkGenotype:
        return derive(self.alpha_values()["cell"])


def derive(alpha: np.ndarray) -> BenchmarkGenotype:
    """The cell of `alpha` [6, 5]: on every edge the strongest of all five operations, `none` among them; the earlier
    operation on a tie."""
    return BenchmarkGenotype.of(PRIMITIVES[column] for column in np.argmax(alpha, axis=-1))
