"""The DARTS supernet: every edge of every cell is a mixed operation, weighted by one alpha a kind of cell.

Stem (3x3 convolution to 3C, batch norm), L cells with reductions at L//3 and 2L//3, global average pool, linear.
"""

import keras
import tensorflow as tf

from dartsminus_tf.errors import UsageError
from dartsminus_tf.ops.layers import Classifier, ConvNorm, FactorizedReduce, SkipDropout
from dartsminus_tf.ops.mixed import MixedEdges
from dartsminus_tf.ops.source import NodeSum, Source, Weight
from dartsminus_tf.spaces.darts.derive import derive
from dartsminus_tf.spaces.darts.genotype import Genotype
from dartsminus_tf.spaces.darts.plan import CellPlan, check_image_size, plan_cells
from dartsminus_tf.spaces.darts.space import NODES, CellSpace, cell_edges

STEM_MULTIPLIER = 3
ALPHA_STDDEV = 1e-3


class SearchCell(keras.layers.Layer):
    """One cell of the supernet: `(s0, s1, weights, beta) -> [N, H', W', 4C]`."""

    def __init__(self, space: CellSpace, plan: CellPlan, auxiliary_skip: bool, skip_dropout=None, **kwargs):
        super().__init__(**kwargs)
        self.plan = plan
        channels = plan.channels
        if plan.halve_input0:
            self.preprocess0 = FactorizedReduce(channels, affine=False)
        else:
            self.preprocess0 = ConvNorm(channels, relu="before", affine=False)
        self.preprocess1 = ConvNorm(channels, relu="before", affine=False)
        self.edges = cell_edges(plan.reduction)
        primitives = space.reduce if plan.reduction else space.normal
        self.mixed_edges = MixedEdges(self.edges, primitives, channels, auxiliary_skip, skip_dropout)

    def build(self, input_shape=None):
        self.preprocess0.build((None, None, None, self.plan.input_channels[0]))
        self.preprocess1.build((None, None, None, self.plan.input_channels[1]))
        self.mixed_edges.build()

    def call(self, s0, s1, weights, beta, training=False):
        """`weights` [edges, candidates] are softmax(alpha); `beta` a scalar."""
        weights, beta = self._edge_weights(weights, beta)
        mixed, close = self.mixed_edges.open(training)
        stride = 2 if self.plan.reduction else 1
        states = [
            Source(self.preprocess0(s0, training=training), stride),
            Source(self.preprocess1(s1, training=training), stride),
        ]
        for node in range(2, NODES + 2):
            total = NodeSum()
            for index, edge in enumerate(self.edges):
                if edge.target == node:
                    mixed[index](states[edge.source], weights[index], beta, total)
            states.append(Source(total.total(), stride=1))
        close()
        return tf.concat([state.x for state in states[2:]], axis=-1)

    def _edge_weights(self, weights, beta) -> tuple[list[list[Weight]], Weight]:
        """`weights` [edges, candidates] and the scalar `beta` as single weights."""
        channels = self.plan.channels
        scalars = [tf.unstack(edge) for edge in tf.unstack(weights)]
        spread = [tf.unstack(edge) for edge in tf.unstack(tf.tile(weights[..., None], [1, 1, channels]))]
        pairs = [list(map(Weight, *edge)) for edge in zip(scalars, spread, strict=True)]
        return pairs, Weight(tf.convert_to_tensor(beta), tf.fill([channels], beta))


class Supernet(keras.Model):
    """The supernet of a cell space. See `dartsminus_tf.build_supernet` for the arguments.

    Attributes:
        alphas: {"normal": [14, candidates], "reduce": [14, candidates]}, trainable, started at 1e-3 * N(0, 1).
        beta: scalar, weight of the auxiliary skip; not trained, set by a schedule once an epoch.
        skip_dropout: the `SkipDropout` of every `skip_connect` candidate, with its `rate`; None without.
    """

    def __init__(
        self,
        space,
        channels: int,
        layers: int,
        num_classes: int,
        auxiliary_skip: bool = True,
        skip_dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.space, self.channels, self.num_layers, self.num_classes = space, channels, layers, num_classes
        self.auxiliary_skip = auxiliary_skip
        plans = plan_cells(channels, layers, STEM_MULTIPLIER * channels, concat={"normal": NODES, "reduce": NODES})
        self.stem = ConvNorm(STEM_MULTIPLIER * channels, kernel_size=3)
        self.skip_dropout = SkipDropout(skip_dropout) if skip_dropout else None
        self.cells = [
            SearchCell(space, plan, auxiliary_skip, self.skip_dropout, name=f"cell_{i}") for i, plan in enumerate(plans)
        ]
        self.classifier = Classifier(num_classes)

    def build(self, input_shape):
        check_image_size(input_shape, cell_stride=1)
        self.stem.build(input_shape)
        if self.skip_dropout is not None:
            self.skip_dropout.build()
        for cell in self.cells:
            cell.build()
        self.classifier.build((None, None, None, NODES * self.cells[-1].plan.channels))
        start = keras.initializers.RandomNormal(stddev=ALPHA_STDDEV)
        self.alphas = {
            kind: self.add_weight(
                shape=(len(edges), len(edges[0])),
                initializer=start,
                name=f"alpha_{kind}",
                dtype="float32",
                autocast=False,
            )
            for kind, edges in (("normal", self.space.normal), ("reduce", self.space.reduce))
        }
        initial = 1.0 if self.auxiliary_skip else 0.0
        self.beta = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(initial),
            trainable=False,
            name="beta",
            dtype="float32",
            autocast=False,
        )

    def call(self, x, training=False):
        weights = {kind: tf.nn.softmax(tf.convert_to_tensor(alpha)) for kind, alpha in self.alphas.items()}
        beta = tf.convert_to_tensor(self.beta)
        s0 = s1 = self.stem(x, training=training)
        for cell in self.cells:
            kind = "reduce" if cell.plan.reduction else "normal"
            s0, s1 = s1, cell(s0, s1, weights[kind], beta, training=training)
        return self.classifier(s1)

    @property
    def alpha_variables(self) -> list[keras.Variable]:
        """The architecture parameters."""
        return list(self.alphas.values())

    @property
    def weight_variables(self) -> list[keras.Variable]:
        """The trainable variables of the operations: all but alpha."""
        layers = (self.stem, *self.cells, self.classifier)
        return [variable for layer in layers for variable in layer.trainable_variables]

    def genotype(self) -> Genotype:
        """The cell that alpha stands for now."""
        return derive(self.space, {kind: alpha.numpy() for kind, alpha in self.alphas.items()})

    def get_config(self):
        raise UsageError(
            "A supernet is rebuilt by build_supernet and its weights are loaded by checkpoint; it has no config."
        )
