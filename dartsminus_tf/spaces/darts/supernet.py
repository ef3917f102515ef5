"""The DARTS supernet: every edge of every cell is a mixed operation, weighted by one alpha a kind of cell.

Stem (3x3 convolution to 3C, batch norm), L cells with reductions at L//3 and 2L//3, global average pool, linear.
"""

import keras
import tensorflow as tf

from dartsminus_tf.mixed.graph import MixedGraph
from dartsminus_tf.ops.layers import Classifier, ConvNorm, FactorizedReduce
from dartsminus_tf.spaces.darts.derive import derive
from dartsminus_tf.spaces.darts.genotype import CellGenotype
from dartsminus_tf.spaces.darts.plan import CellPlan, check_image_size, plan_cells
from dartsminus_tf.spaces.darts.space import NODES, cell_edges
from dartsminus_tf.spaces.space import Space
from dartsminus_tf.spaces.supernet import SearchNetwork, SupernetOptions

STEM_MULTIPLIER = 3


class SearchCell(keras.layers.Layer):
    """One cell of the supernet: `(s0, s1, weights, beta) -> [N, H', W', 4C]`."""

    def __init__(self, space: Space, plan: CellPlan, options=None, skip_dropout=None, **kwargs):
        super().__init__(**kwargs)
        options = options or SupernetOptions()
        self.plan = plan
        channels = plan.channels
        if plan.halve_input0:
            self.preprocess0 = FactorizedReduce(channels, affine=False)
        else:
            self.preprocess0 = ConvNorm(channels, relu="before", affine=False)
        self.preprocess1 = ConvNorm(channels, relu="before", affine=False)
        self.graph = MixedGraph(
            cell_edges(plan.reduction),
            space.candidates["reduce" if plan.reduction else "normal"],
            channels,
            options.auxiliary,
            options.partial_channels,
            skip_dropout,
            rematerialize=options.rematerialize,
        )

    def build(self, input_shape=None):
        self.preprocess0.build((None, None, None, self.plan.input_channels[0]))
        self.preprocess1.build((None, None, None, self.plan.input_channels[1]))
        self.graph.build()

    def call(self, s0, s1, weights, beta, edge_weights=None, training=False):
        """`weights` [edges, candidates] are softmax(alpha); `beta` a scalar; `edge_weights` [edges] or None."""
        inputs = self.preprocess0(s0, training=training), self.preprocess1(s1, training=training)
        states = self.graph(inputs, weights, tf.convert_to_tensor(beta), edge_weights, training=training)
        return tf.concat(states[2:], axis=-1)


class Supernet(SearchNetwork):
    """The supernet of a cell space. See `dartsminus_tf.build_supernet` for the arguments.

    `alphas` are {"normal": [14, candidates], "reduce": [14, candidates]}.
    """

    def __init__(self, space, channels: int, layers: int, num_classes: int, options=None, **kwargs):
        super().__init__(space, options, **kwargs)
        self.channels, self.num_layers, self.num_classes = channels, layers, num_classes
        plans = plan_cells(channels, layers, STEM_MULTIPLIER * channels, concat={"normal": NODES, "reduce": NODES})
        self.stem = ConvNorm(STEM_MULTIPLIER * channels, kernel_size=3)
        self.cells = [
            SearchCell(space, plan, self.options, self.skip_dropout, name=f"cell_{i}") for i, plan in enumerate(plans)
        ]
        self.classifier = Classifier(num_classes)

    def build(self, input_shape):
        check_image_size(input_shape, cell_stride=1)
        self.stem.build(input_shape)
        for cell in self.cells:
            cell.build()
        self.classifier.build((None, None, None, NODES * self.cells[-1].plan.channels))
        shapes = {kind: (len(edges), len(edges[0])) for kind, edges in self.space.candidates.items()}
        self.build_architecture(shapes, cell_edges(reduction=False))

    def call(self, x, training=False):
        weights, edges, beta = self.softmax_alphas(), self.normalised_edges(), tf.convert_to_tensor(self.beta)
        s0 = s1 = self.stem(x, training=training)
        for cell in self.cells:
            kind = "reduce" if cell.plan.reduction else "normal"
            s0, s1 = s1, cell(s0, s1, weights[kind], beta, edges.get(kind), training=training)
        return self.classifier(s1)

    @property
    def weighted_layers(self):
        return (self.stem, *self.cells, self.classifier)

    def genotype(self) -> CellGenotype:
        return derive(self.space, self.alpha_values(), self.edge_weights())
