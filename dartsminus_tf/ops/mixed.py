"""The mixed operation of DARTS- (section 3.2 of the paper):

    o(x) = sum_k softmax(alpha)_k * op_k(x) + beta * aux(x)

The auxiliary skip `aux` is a plain identity (a FactorizedReduce of its own at stride 2). It is not one of the
candidates: it carries the gradient that would otherwise make every candidate skip look good, and beta takes it away
again before the search ends.
"""

from collections.abc import Mapping, Sequence

import keras

from dartsminus_tf.ops.candidates import AUXILIARIES, Candidate, Edge, build_candidate
from dartsminus_tf.ops.norm import NormBank, Norms
from dartsminus_tf.ops.source import NodeSum, Source, Weight


class MixedOp:
    """The mixed operation of one edge in one pass over its cell.

    Args:
        operations: the candidates as functions `(source, weight) -> Term`.
        auxiliary: the auxiliary skip as such a function; None in plain DARTS.
    """

    def __init__(self, operations: Sequence, auxiliary=None):
        self.operations, self.auxiliary = operations, auxiliary

    def __call__(self, x: Source, weights: Sequence[Weight], beta: Weight, total: NodeSum) -> None:
        """Add o(x) to `total`. `weights` are the edge's softmax(alpha)."""
        for operation, weight in zip(self.operations, weights, strict=True):
            total.add(operation(x, weight))
        if self.auxiliary is not None:
            total.add(self.auxiliary(x, beta))


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
