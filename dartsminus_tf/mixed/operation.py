"""The mixed operation of DARTS- (section 3.2 of the paper):

    o(x) = sum_k softmax(alpha)_k * op_k(x) + beta * aux(x)

The auxiliary skip `aux` is a plain identity (a FactorizedReduce of its own at stride 2). It is not one of the
candidates: it carries the gradient that would otherwise make every candidate skip look good, and beta takes it away
again before the search ends.

Every candidate starts with a ReLU, a pool or nothing at all, and those have no parameters: they are the same on all
edges that leave a state. `Source` computes each of them once. `NodeSum` adds up what arrives at a node.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import tensorflow as tf

from dartsminus_tf.ops import functional as fn


class MixedOp:
    """The mixed operation of one edge in one pass over its cell.

    Args:
        operations: the candidates as functions `(source, weight) -> Term`, None being zero.
        auxiliary: the auxiliary skip as such a function; None in plain DARTS.
    """

    def __init__(self, operations: Sequence[Callable], auxiliary: Callable | None = None):
        self.operations, self.auxiliary = operations, auxiliary

    def __call__(self, x: "Source", weights: Sequence["Weight"], beta: "Weight") -> list["Term | None"]:
        """The addends of o(x): those of the candidates, `weights` being the edge's softmax(alpha), and of the skip."""
        terms = [operation(x, weight) for operation, weight in zip(self.operations, weights, strict=True)]
        return terms if self.auxiliary is None else [*terms, self.auxiliary(x, beta)]


class Term(NamedTuple):
    """One addend of a node: the scalar `scale` (None: already applied) times `value`.

    `value` is [N, H, W, C], or its four pixel phases [4N, H/2, W/2, C] where `in_phases` (see `functional.to_phases`).
    """

    value: tf.Tensor
    scale: tf.Tensor | None = None
    in_phases: bool = False


class Weight(NamedTuple):
    """A weight as the scalar that multiplies a tensor, and spread over the channels of a batch norm [C]."""

    scalar: tf.Tensor
    spread: tf.Tensor


class Source:
    """A cell state `x` [N, H, W, C] whose outgoing edges all have the same `stride` (1 or 2)."""

    def __init__(self, x: tf.Tensor, stride: int):
        self.x = x
        self.stride = stride
        self._shared: dict = {}

    @property
    def has_phases(self) -> bool:
        """Whether the state can be split into pixel phases: even sizes, known while tracing."""
        return all(size is not None and size % 2 == 0 for size in self.x.shape[1:3])

    @cached_property
    def relu(self) -> tf.Tensor:
        return tf.nn.relu(self.x)

    @cached_property
    def relu_phases(self) -> tf.Tensor:
        """The ReLU in pixel phases, where a dilation of 2 is none."""
        return fn.to_phases(self.relu)

    @cached_property
    def relu_subsampled(self) -> tf.Tensor:
        """The ReLU at every stride-th pixel."""
        return fn.subsample(self.relu, self.stride)

    def once(self, key, compute):
        """The result of `compute()`, remembered under `key`."""
        if key not in self._shared:
            self._shared[key] = compute()
        return self._shared[key]


class NodeSum:
    """The sum of what arrives at a node. Terms of the same tensor are multiplied once, by their summed scale."""

    def __init__(self):
        self._plain: list[tf.Tensor] = []
        self._phases: list[tf.Tensor] = []
        self._scaled: dict[int, tuple[tf.Tensor, list[tf.Tensor]]] = {}

    def add(self, *terms: Term | None) -> None:
        """Add terms; None is the operation `none` (zero)."""
        for term in filter(None, terms):
            if term.scale is not None:
                self._scaled.setdefault(id(term.value), (term.value, []))[1].append(term.scale)
            elif term.in_phases:
                self._phases.append(term.value)
            else:
                self._plain.append(term.value)

    def total(self) -> tf.Tensor:
        """The sum, [N, H, W, C]."""
        addends = list(self._plain)
        addends += [value * tf.cast(tf.add_n(scales), value.dtype) for value, scales in self._scaled.values()]
        if self._phases:
            addends.append(fn.from_phases(tf.add_n(self._phases)))
        return tf.add_n(addends)


def sum_of_edges(edges: Iterable[tuple[MixedOp, Source, Sequence[Weight], Weight]]) -> tf.Tensor:
    """A node's state [N, H, W, C]: the sum of o(x) over the edges that enter it, each (operation, x, weights, beta)."""
    total = NodeSum()
    for mixed, x, weights, beta in edges:
        total.add(*mixed(x, weights, beta))
    return total.total()
