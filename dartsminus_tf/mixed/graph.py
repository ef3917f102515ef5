"""A searched cell's graph: nodes that sum mixed operations of the states before them."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.mixed.candidates import AUXILIARIES, Candidate, LayerCandidate, build_candidate
from dartsminus_tf.mixed.edges import Edge
from dartsminus_tf.mixed.norm_bank import NormBank, Norms
from dartsminus_tf.mixed.operation import MixedOp, NodeSum, Source, Term, Weight, sum_of_edges
from dartsminus_tf.mixed.recompute import recomputed
from dartsminus_tf.ops import functional as fn


class MixedEdges(keras.layers.Layer):
    """The mixed operations of all edges of one cell: their parameters and batch statistics.

    Args:
        edges: the cell's edges, in the order of alpha's rows.
        primitives: for every edge, the names of its candidates, in the order of alpha's columns.
        channels: width of every state.
        auxiliary: the auxiliary operation of each edge: "skip", "conv1" or None.
        skip_dropout: a `SkipDropout` for the candidate `skip_connect`, or None.
        kinds: candidate classes of primitives that are not those of `candidates`.
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        primitives: Sequence[Sequence[str]],
        channels: int,
        auxiliary: str | None = "skip",
        skip_dropout: keras.layers.Layer | None = None,
        kinds: Mapping[str, type[Candidate]] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.edges = list(edges)
        self.primitives = [list(names) for names in primitives]
        self.bank = NormBank(channels)
        self.slots: dict[str, list[int]] = {}
        for index, names in enumerate(self.primitives):
            for name in names:
                self.slots.setdefault(name, []).append(index)
        self.candidates: dict[str, Candidate] = {
            name: build_candidate(name, [self.edges[i] for i in where], channels, self.bank, kinds or {})
            for name, where in self.slots.items()
        }
        if skip_dropout is not None and "skip_connect" in self.candidates:
            self.candidates["skip_connect"].dropout = skip_dropout
        self.auxiliary: Candidate | None = None
        if auxiliary is not None:
            kind = AUXILIARIES[auxiliary]
            self.auxiliary = kind("auxiliary", self.edges, channels, self.bank)

    def build(self, input_shape=None):
        for layer in (*self.candidates.values(), self.auxiliary, self.bank):
            if layer is not None:
                layer.build()

    def open(self, training: bool) -> tuple[list[MixedOp], Norms]:
        """Start one pass: the mixed operation of every edge, and the norms that they apply."""
        norms = self.bank.open(training)
        apply = {name: candidate.open(norms, training) for name, candidate in self.candidates.items()}
        auxiliary = self.auxiliary.open(norms, training) if self.auxiliary else None

        def on_edge(function, slot):
            return lambda source, weight: function(source, slot, weight)

        mixed = []
        for index, names in enumerate(self.primitives):
            operations = [on_edge(apply[name], self.slots[name].index(index)) for name in names]
            mixed.append(MixedOp(operations, on_edge(auxiliary, index) if auxiliary else None))
        return mixed, norms


class MixedGraph(keras.layers.Layer):
    """`(inputs, weights, beta) -> [every state]`: the inputs, then the nodes in order.

    With partial channels a node is shuffle(concat(sum of o(x[first C/K channels]), sum of the others)): the shuffle is
    the same on every edge, so it is done once a node.

    Args:
        edges: in the order of alpha's rows; all edges that leave a state have the same stride.
        primitives: for every edge, the names of its candidates, in the order of alpha's columns.
        channels: width C of every state.
        auxiliary: the auxiliary operation of each edge: "skip", "conv1" or None.
        partial_channels: K; operations see C / K channels.
        skip_dropout: a `SkipDropout` for the candidate `skip_connect`, or None.
        kinds: candidate classes of primitives that are not those of `mixed.candidates`.
        rematerialize: compute the graph again in the backward pass instead of keeping what it needs.

    Raises:
        UsageError: where a pass cannot be repeated exactly: a skip dropout, or a candidate with statistics of its own.
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        primitives: Sequence[Sequence[str]],
        channels: int,
        auxiliary: str | None = "skip",
        partial_channels: int = 1,
        skip_dropout: keras.layers.Layer | None = None,
        kinds: Mapping[str, type[Candidate]] | None = None,
        rematerialize: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.rematerialize = rematerialize
        self.edges, self.channels, self.groups = list(edges), channels, partial_channels
        self.sampled = channels // partial_channels
        self.nodes = sorted({edge.target for edge in self.edges})
        self.strides = {edge.source: edge.stride for edge in self.edges}
        self.mixed_edges = MixedEdges(self.edges, primitives, self.sampled, auxiliary, skip_dropout, kinds)
        others = [c.name for c in self.mixed_edges.candidates.values() if isinstance(c, LayerCandidate)]
        if rematerialize and (skip_dropout is not None or others):
            reason = "skip_dropout" if skip_dropout is not None else f"the candidate {others[0]}"
            raise UsageError(f"rematerialize cannot repeat random draws and statistics. Received: {reason}")

    def build(self, input_shape=None):
        self.mixed_edges.build()

    def call(self, inputs, weights, beta, edge_weights=None, training=False):
        """`inputs` are states [N, H, W, C], `weights` [edges, candidates] softmax(alpha), `beta` a scalar,
        `edge_weights` [edges] or None."""
        architecture = [weights, beta] if edge_weights is None else [weights, beta, edge_weights]
        if self.rematerialize and training and self.trainable:
            nodes, statistics = self._nodes_twice(list(inputs), architecture)
        else:
            nodes, norms = self._nodes(inputs, *architecture, training=training)
            statistics = norms.statistics()
        self.mixed_edges.bank.update(statistics)
        return [*inputs, *nodes]

    def _nodes_twice(self, inputs: list, architecture: list) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """The nodes and the batch statistics; a backward pass computes them once more."""
        variables = self.trainable_variables

        def function(*tensors):
            states, rest = tensors[: len(inputs)], tensors[len(inputs) :]
            values, rest = rest[: len(variables)], rest[len(variables) :]
            with keras.StatelessScope(zip(variables, values, strict=True)):
                nodes, norms = self._nodes(states, *rest, training=True)
            return [tf.concat(nodes, axis=-1), *norms.statistics()]

        nodes, *statistics = recomputed(function)(*inputs, *map(tf.convert_to_tensor, variables), *architecture)
        return tf.split(nodes, len(self.nodes), axis=-1), statistics

    def _nodes(self, inputs, weights, beta, edge_weights=None, training=False) -> tuple[list[tf.Tensor], Norms]:
        """One pass: the nodes' states, and the norms with their statistics."""
        betas = tf.fill([len(self.edges)], beta)
        if edge_weights is not None:
            weights, betas = weights * edge_weights[:, None], betas * edge_weights
        weights, betas = self._spread(weights), [row[0] for row in self._spread(betas[:, None])]
        bypass_weights = [None] * len(self.edges) if edge_weights is None else tf.unstack(edge_weights)
        mixed, norms = self.mixed_edges.open(training)
        nodes = []
        sources = [self._source(x, self.strides[index]) for index, x in enumerate(inputs)]
        for node in self.nodes:
            incoming = [index for index, edge in enumerate(self.edges) if edge.target == node]
            seen, past = zip(*(sources[self.edges[index].source] for index in incoming), strict=True)
            x = sum_of_edges((mixed[i], s, weights[i], betas[i]) for i, s in zip(incoming, seen, strict=True))
            if self.groups > 1:
                bypass = NodeSum()
                bypass.add(*(Term(p, bypass_weights[i]) for i, p in zip(incoming, past, strict=True)))
                x = fn.channel_shuffle(tf.concat([x, bypass.total()], axis=-1), self.groups)
            nodes.append(x)
            if node in self.strides:
                sources.append(self._source(x, self.strides[node]))
        return nodes, norms

    def _source(self, x, stride: int) -> tuple[Source, tf.Tensor | None]:
        """What the operations see of state `x`, and what passes by them (2x2 max pooled where edges have stride 2)."""
        if self.groups == 1:
            return Source(x, stride), None
        seen, past = tf.split(x, [self.sampled, self.channels - self.sampled], axis=-1)
        return Source(seen, stride), past if stride == 1 else tf.nn.max_pool2d(past, 2, 2, "VALID")

    def _spread(self, weights: tf.Tensor) -> list[list[Weight]]:
        """`weights` [edges, candidates] one by one."""
        scalars = [tf.unstack(edge) for edge in tf.unstack(weights)]
        spread = [tf.unstack(edge) for edge in tf.unstack(tf.tile(weights[..., None], [1, 1, self.sampled]))]
        return [list(map(Weight, *edge)) for edge in zip(scalars, spread, strict=True)]


def normalise_edges(edge_alpha: tf.Tensor, edges: Sequence[Edge]) -> tf.Tensor:
    """Softmax of `edge_alpha` [edges] over the edges that enter each node (PC-DARTS' edge normalization).

    `edges` are in the order of their nodes.
    """
    targets = [edge.target for edge in edges]
    parts = tf.split(edge_alpha, [targets.count(node) for node in sorted(set(targets))])
    return tf.concat([tf.nn.softmax(part) for part in parts], axis=0)
