"""The candidate operations of a supernet cell: one object a primitive, which holds it on every edge that has it.

The weights of one primitive on E edges are stacked in variables of leading size E: a supernet has a dozen variables a
cell instead of two hundred, and so a far smaller graph. `open(norms)` starts one pass over the cell and returns a
function `(source, slot, weight) -> Term` for the primitive on its slot-th edge, times `weight`.

The scale w of a candidate is the scale of its last batch norm, `w * BN(y)`, so weighing costs nothing.
"""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.mixed.edges import Edge
from dartsminus_tf.mixed.norm_bank import NormBank, Norms
from dartsminus_tf.mixed.operation import Source, Term, Weight
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops import layers
from dartsminus_tf.ops.registry import build_primitive

Apply = Callable[[Source, int, Weight], Term | None]


class Candidate(keras.layers.Layer):
    """Base class: primitive `primitive` on `edges`, for `channels` channels, its norms being rows of `bank`."""

    def __init__(self, primitive: str, edges: Sequence[Edge], channels: int, bank: NormBank):
        super().__init__(name=primitive)
        self.edges, self.channels, self.bank = list(edges), channels, bank

    def build(self, input_shape=None):
        """Candidates without parameters have nothing to build."""

    def open(self, norms: Norms, training: bool) -> Apply:
        """Start one pass over the cell."""
        raise NotImplementedError

    def stacked(self, shape: Sequence[int], fan_in: int, name: str) -> keras.Variable:
        """A variable that holds one weight of `shape` for every edge."""
        return self.add_weight(shape=(len(self.edges), *shape), initializer=layers.uniform_fan_in(fan_in), name=name)

    def new_rows(self) -> list[int]:
        """One norm row for every edge."""
        return [self.bank.add_row() for _ in self.edges]


def unstack(variable: keras.Variable) -> list[tf.Tensor]:
    """The weights of the single edges."""
    return tf.unstack(tf.convert_to_tensor(variable))


class ZeroCandidate(Candidate):
    """`none` adds nothing."""

    def open(self, norms, training):
        return lambda source, slot, weight: None


class SkipCandidate(Candidate):
    """`skip_connect` and the auxiliary skip: identity at stride 1, FactorizedReduce (affine-free) at stride 2.

    Attributes:
        dropout: a `SkipDropout` on the identity's output in training, or None. The auxiliary skip never has one.
    """

    dropout = None

    def __init__(self, primitive, edges, channels, bank):
        super().__init__(primitive, edges, channels, bank)
        self.reducing = [slot for slot, edge in enumerate(edges) if edge.stride == 2]
        self.rows = {slot: bank.add_row() for slot in self.reducing}

    def build(self, input_shape=None):
        if self.reducing:
            shape = (len(self.reducing), 2, self.channels, self.channels // 2)
            start = layers.uniform_fan_in(self.channels)
            self.kernels = self.add_weight(shape=shape, initializer=start, name="kernels")

    def open(self, norms, training):
        kernels = dict(zip(self.reducing, unstack(self.kernels), strict=True)) if self.reducing else {}

        def apply(source, slot, weight):
            if slot not in kernels:
                dropped = self.dropout is not None and training
                return Term(self.dropout(source.x) if dropped else source.x, weight.scalar)
            return Term(norms(fn.factorized_reduce(source.relu, kernels[slot]), self.rows[slot], weight.spread))

        return apply


class PoolCandidate(Candidate):
    """A 3x3 pool and an affine-free batch norm. Without parameters, one of them serves all edges of a state."""

    def __init__(self, primitive, edges, channels, bank):
        super().__init__(primitive, edges, channels, bank)
        self.pool = fn.max_pool if primitive == "max_pool_3x3" else fn.avg_pool
        self.rows = {source: bank.add_row() for source in sorted({edge.source for edge in edges})}

    def open(self, norms, training):
        def apply(source, slot, weight):
            row = self.rows[self.edges[slot].source]
            pooled = source.once(self.name, lambda: norms(self.pool(source.x, source.stride), row))
            return Term(pooled, weight.scalar)

        return apply


class SeparableCandidate(Candidate):
    """`sep_conv_k`: (ReLU, depthwise, pointwise, batch norm), twice."""

    def __init__(self, primitive, edges, channels, bank):
        super().__init__(primitive, edges, channels, bank)
        self.kernel_size = kernel_size_of(primitive)
        self.rows = (self.new_rows(), self.new_rows())

    def build(self, input_shape=None):
        size, channels = self.kernel_size, self.channels
        self.depthwise = [self.stacked((size, size, channels, 1), size**2, f"depthwise_{stage}") for stage in (0, 1)]
        self.pointwise = [self.stacked((1, 1, channels, channels), channels, f"pointwise_{stage}") for stage in (0, 1)]

    def open(self, norms, training):
        depthwise_0, depthwise_1 = (unstack(variable) for variable in self.depthwise)
        pointwise_0, pointwise_1 = (unstack(variable) for variable in self.pointwise)

        def apply(source, slot, weight):
            y = fn.separable(source.relu, depthwise_0[slot], pointwise_0[slot], source.stride)
            y = tf.nn.relu(norms(y, self.rows[0][slot]))
            y = fn.separable(y, depthwise_1[slot], pointwise_1[slot])
            return Term(norms(y, self.rows[1][slot], weight.spread))

        return apply


class DilatedCandidate(Candidate):
    """`dil_conv_k`: ReLU, depthwise of dilation 2, pointwise, batch norm.

    At stride 1 it runs in pixel phases where the size is even, at stride 2 on every other pixel: both make it dense.
    """

    def __init__(self, primitive, edges, channels, bank):
        super().__init__(primitive, edges, channels, bank)
        self.kernel_size = kernel_size_of(primitive)
        self.rows = self.new_rows()

    def build(self, input_shape=None):
        size, channels = self.kernel_size, self.channels
        self.depthwise = self.stacked((size, size, channels, 1), size**2, "depthwise")
        self.pointwise = self.stacked((1, 1, channels, channels), channels, "pointwise")

    def open(self, norms, training):
        depthwise, pointwise = unstack(self.depthwise), unstack(self.pointwise)

        def apply(source, slot, weight):
            in_phases, dilation = source.stride == 1 and source.has_phases, 1
            if in_phases:
                x = source.relu_phases
            elif source.stride == 2:
                x = source.relu_subsampled
            else:
                x, dilation = source.relu, 2
            y = fn.separable(x, depthwise[slot], pointwise[slot], dilation=dilation)
            return Term(norms(y, self.rows[slot], weight.spread), in_phases=in_phases)

        return apply


class LayerCandidate(Candidate):
    """Any other registered primitive: one of its layers an edge, its output multiplied by the scale."""

    def __init__(self, primitive, edges, channels, bank):
        super().__init__(primitive, edges, channels, bank)
        self.layers = [build_primitive(primitive, channels, edge.stride, affine=False) for edge in edges]

    def build(self, input_shape=None):
        for layer in self.layers:
            layer.build((None, None, None, self.channels))

    def open(self, norms, training):
        return lambda source, slot, weight: Term(self.layers[slot](source.x, training=training), weight.scalar)


def kernel_size_of(primitive: str) -> int:
    """3 for "sep_conv_3x3"."""
    return int(primitive.rsplit("x", 1)[1])


class PointwiseAuxiliary(SkipCandidate):
    """The auxiliary operation "conv1": a bias-free 1x1 convolution at stride 1, the identity at the start."""

    def build(self, input_shape=None):
        super().build(input_shape)
        self.plain = [slot for slot, edge in enumerate(self.edges) if edge.stride == 1]
        self.pointwise = None
        if self.plain:
            identity = keras.initializers.Constant(np.eye(self.channels, dtype=np.float32))
            shape = (len(self.plain), self.channels, self.channels)
            self.pointwise = self.add_weight(shape=shape, initializer=identity, name="pointwise")

    def open(self, norms, training):
        reduce = super().open(norms, training)
        kernels = dict(zip(self.plain, unstack(self.pointwise), strict=True)) if self.plain else {}

        def apply(source, slot, weight):
            if slot not in kernels:
                return reduce(source, slot, weight)
            return Term(fn.pointwise(source.x, kernels[slot] * weight.scalar))

        return apply


AUXILIARIES: dict[str, type[Candidate]] = {"skip": SkipCandidate, "conv1": PointwiseAuxiliary}

_FAST: dict[str, type[Candidate]] = {
    "none": ZeroCandidate,
    "skip_connect": SkipCandidate,
    "max_pool_3x3": PoolCandidate,
    "avg_pool_3x3": PoolCandidate,
    "sep_conv_3x3": SeparableCandidate,
    "sep_conv_5x5": SeparableCandidate,
    "sep_conv_7x7": SeparableCandidate,
    "dil_conv_3x3": DilatedCandidate,
    "dil_conv_5x5": DilatedCandidate,
}


def build_candidate(
    primitive: str, edges: Sequence[Edge], channels: int, bank: NormBank, kinds: Mapping[str, type[Candidate]]
) -> Candidate:
    """The candidate object of `primitive` on `edges`; `kinds` come before the classes of this module."""
    return {**_FAST, **kinds}.get(primitive, LayerCandidate)(primitive, edges, channels, bank)
