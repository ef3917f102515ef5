"""The DARTS supernet: every edge of every cell is a mixed operation, weighted by one alpha a kind of cell.

Stem (3x3 convolution to 3C, batch norm), L cells with reductions at L//3 and 2L//3, global average pool, linear.
"""

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.errors import UsageError
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops.layers import Classifier, ConvNorm, FactorizedReduce, SkipDropout
from dartsminus_tf.ops.mixed import MixedEdges
from dartsminus_tf.ops.source import NodeSum, Source, Term, Weight
from dartsminus_tf.spaces.darts.derive import derive
from dartsminus_tf.spaces.darts.genotype import Genotype
from dartsminus_tf.spaces.darts.options import SupernetOptions
from dartsminus_tf.spaces.darts.plan import CellPlan, check_image_size, plan_cells
from dartsminus_tf.spaces.darts.space import NODES, CellSpace, cell_edges

STEM_MULTIPLIER = 3
ALPHA_STDDEV = 1e-3


def normalise_edges(edge_alpha: tf.Tensor) -> tf.Tensor:
    """Softmax of `edge_alpha` [14] over the edges that enter each node (PC-DARTS' edge normalization)."""
    parts = tf.split(edge_alpha, list(range(2, NODES + 2)))
    return tf.concat([tf.nn.softmax(part) for part in parts], axis=0)


class SearchCell(keras.layers.Layer):
    """One cell of the supernet: `(s0, s1, weights, beta) -> [N, H', W', 4C]`.

    With partial channels a node is shuffle(concat(sum of o(x[first C/K channels]), sum of the others)): the shuffle is
    the same on every edge, so it is done once a node.
    """

    def __init__(self, space: CellSpace, plan: CellPlan, options=None, skip_dropout=None, **kwargs):
        super().__init__(**kwargs)
        options = options or SupernetOptions()
        self.plan, self.groups = plan, options.partial_channels
        channels = plan.channels
        if plan.halve_input0:
            self.preprocess0 = FactorizedReduce(channels, affine=False)
        else:
            self.preprocess0 = ConvNorm(channels, relu="before", affine=False)
        self.preprocess1 = ConvNorm(channels, relu="before", affine=False)
        self.edges = cell_edges(plan.reduction)
        primitives = space.reduce if plan.reduction else space.normal
        self.sampled = options.sampled(channels)
        self.mixed_edges = MixedEdges(self.edges, primitives, self.sampled, options.auxiliary, skip_dropout)

    def build(self, input_shape=None):
        self.preprocess0.build((None, None, None, self.plan.input_channels[0]))
        self.preprocess1.build((None, None, None, self.plan.input_channels[1]))
        self.mixed_edges.build()

    def call(self, s0, s1, weights, beta, edge_weights=None, training=False):
        """`weights` [edges, candidates] are softmax(alpha); `beta` a scalar; `edge_weights` [edges] or None."""
        betas = tf.fill([len(self.edges)], tf.convert_to_tensor(beta))
        if edge_weights is not None:
            weights, betas = weights * edge_weights[:, None], betas * edge_weights
        weights, betas = self._spread(weights), [row[0] for row in self._spread(betas[:, None])]
        bypass_weights = [None] * len(self.edges) if edge_weights is None else tf.unstack(edge_weights)
        mixed, close = self.mixed_edges.open(training)
        stride = 2 if self.plan.reduction else 1
        inputs = self.preprocess0(s0, training=training), self.preprocess1(s1, training=training)
        states, sources = list(inputs), [self._source(x, stride) for x in inputs]
        for node in range(2, NODES + 2):
            total, bypass = NodeSum(), NodeSum()
            for index, edge in enumerate(self.edges):
                if edge.target == node:
                    source, past = sources[edge.source]
                    mixed[index](source, weights[index], betas[index], total)
                    bypass.add(Term(past, bypass_weights[index]) if past is not None else None)
            x = total.total()
            if self.groups > 1:
                x = fn.channel_shuffle(tf.concat([x, bypass.total()], axis=-1), self.groups)
            states.append(x)
            sources.append(self._source(x, stride=1))
        close()
        return tf.concat(states[2:], axis=-1)

    def _source(self, x, stride: int) -> tuple[Source, tf.Tensor | None]:
        """What the operations see of state `x`, and what passes by them (2x2 max pooled where edges have stride 2)."""
        if self.groups == 1:
            return Source(x, stride), None
        seen, past = tf.split(x, [self.sampled, self.plan.channels - self.sampled], axis=-1)
        return Source(seen, stride), past if stride == 1 else tf.nn.max_pool2d(past, 2, 2, "VALID")

    def _spread(self, weights: tf.Tensor) -> list[list[Weight]]:
        """`weights` [edges, candidates] one by one."""
        scalars = [tf.unstack(edge) for edge in tf.unstack(weights)]
        spread = [tf.unstack(edge) for edge in tf.unstack(tf.tile(weights[..., None], [1, 1, self.sampled]))]
        return [list(map(Weight, *edge)) for edge in zip(scalars, spread, strict=True)]


class Supernet(keras.Model):
    """The supernet of a cell space. See `dartsminus_tf.build_supernet` for the arguments.

    Attributes:
        alphas: {"normal": [14, candidates], "reduce": [14, candidates]}, trainable, started at 1e-3 * N(0, 1).
        edge_alphas: {"normal": [14], "reduce": [14]} of edge normalization, trainable; empty without.
        beta: scalar, weight of the auxiliary operation; not trained, set by a schedule once an epoch.
        skip_dropout: the `SkipDropout` of every `skip_connect` candidate, with its `rate`; None without.
    """

    def __init__(self, space, channels: int, layers: int, num_classes: int, options=None, **kwargs):
        super().__init__(**kwargs)
        self.space, self.channels, self.num_layers, self.num_classes = space, channels, layers, num_classes
        self.options = options = options or SupernetOptions()
        plans = plan_cells(channels, layers, STEM_MULTIPLIER * channels, concat={"normal": NODES, "reduce": NODES})
        self.stem = ConvNorm(STEM_MULTIPLIER * channels, kernel_size=3)
        self.skip_dropout = SkipDropout(options.skip_dropout) if options.skip_dropout else None
        self.cells = [
            SearchCell(space, plan, options, self.skip_dropout, name=f"cell_{i}") for i, plan in enumerate(plans)
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
        kinds = {"normal": self.space.normal, "reduce": self.space.reduce}
        self.alphas = {kind: self._alpha((len(edges), len(edges[0])), f"alpha_{kind}") for kind, edges in kinds.items()}
        self.edge_alphas = {}
        if self.options.edge_normalization:
            self.edge_alphas = {kind: self._alpha((len(edges),), f"edge_{kind}") for kind, edges in kinds.items()}
        self.beta = self.add_weight(
            shape=(),
            initializer="ones" if self.options.auxiliary else "zeros",
            trainable=False,
            name="beta",
            dtype="float32",
            autocast=False,
        )

    def _alpha(self, shape, name: str) -> keras.Variable:
        start = keras.initializers.RandomNormal(stddev=ALPHA_STDDEV)
        return self.add_weight(shape=shape, initializer=start, name=name, dtype="float32", autocast=False)

    def call(self, x, training=False):
        weights = {kind: tf.nn.softmax(tf.convert_to_tensor(alpha)) for kind, alpha in self.alphas.items()}
        edges = {kind: normalise_edges(tf.convert_to_tensor(alpha)) for kind, alpha in self.edge_alphas.items()}
        beta = tf.convert_to_tensor(self.beta)
        s0 = s1 = self.stem(x, training=training)
        for cell in self.cells:
            kind = "reduce" if cell.plan.reduction else "normal"
            s0, s1 = s1, cell(s0, s1, weights[kind], beta, edges.get(kind), training=training)
        return self.classifier(s1)

    @property
    def alpha_variables(self) -> list[keras.Variable]:
        """The architecture parameters."""
        return [*self.alphas.values(), *self.edge_alphas.values()]

    @property
    def weight_variables(self) -> list[keras.Variable]:
        """The trainable variables of the operations: all but alpha."""
        layers = (self.stem, *self.cells, self.classifier)
        return [variable for layer in layers for variable in layer.trainable_variables]

    def genotype(self) -> Genotype:
        """The cell that alpha stands for now."""
        alphas = {kind: alpha.numpy() for kind, alpha in self.alphas.items()}
        return derive(self.space, alphas, self.edge_weights())

    def edge_weights(self) -> dict[str, np.ndarray] | None:
        """The edges' weights {"normal": [14], "reduce": [14]} of edge normalization; None without."""
        if not self.edge_alphas:
            return None
        return {kind: normalise_edges(tf.convert_to_tensor(alpha)).numpy() for kind, alpha in self.edge_alphas.items()}

    def get_config(self):
        raise UsageError(
            "A supernet is rebuilt by build_supernet and its weights are loaded by checkpoint; it has no config."
        )
