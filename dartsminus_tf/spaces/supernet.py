"""What supernets of all families have in common: alpha, beta, and which variables are whose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.mixed.candidates import AUXILIARIES
from dartsminus_tf.mixed.edges import Edge
from dartsminus_tf.mixed.graph import normalise_edges
from dartsminus_tf.mixed.skip_dropout import SkipDropout
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.space import Space


@dataclass(frozen=True)
class SupernetOptions:
    """Options of a supernet.

    Args:
        auxiliary: the auxiliary operation of every edge: "skip" (DARTS-), "conv1" (a 1x1 convolution that starts as the
            identity) or None (plain DARTS). At stride 2 both are a FactorizedReduce of their own.
        partial_channels: K of PC-DARTS (Xu et al., ICLR 2020): operations see 1/K of the channels, the others pass by,
            and a channel shuffle mixes them. 1 is off.
        edge_normalization: PC-DARTS' second softmax, over the edges that enter a node.
        skip_dropout: initial rate, in [0, 1), of the dropout on `skip_connect` candidates (P-DARTS).
        rematerialize: compute each cell or searched layer again in the backward pass instead of keeping what it needs:
            the same numbers in less memory and more time. Not with random draws (skip_dropout, the noise of S4).
    """

    auxiliary: str | None = "skip"
    partial_channels: int = 1
    edge_normalization: bool = False
    skip_dropout: float = 0.0
    rematerialize: bool = False

    def __post_init__(self):
        if self.auxiliary not in (None, *AUXILIARIES):
            raise UsageError(f"auxiliary must be skip, conv1 or None. Received: {self.auxiliary!r}")
        if self.partial_channels < 1:
            raise UsageError(f"partial_channels must be at least 1. Received: {self.partial_channels}")
        if not 0 <= self.skip_dropout < 1:
            raise UsageError(f"skip_dropout must be in [0, 1). Received: {self.skip_dropout}")


ALPHA_STDDEV = 1e-3


class SearchNetwork(keras.Model):
    """Base of every supernet: `net(x, training=...)` maps images [N, H, W, 3] to logits [N, num_classes].

    A family's supernet calls `build_architecture` in `build` and implements `genotype` and `weighted_layers`.

    Attributes:
        alphas: {kind of cell: [edges, candidates]}, trainable, started at 1e-3 * N(0, 1).
        edge_alphas: {kind of cell: [edges]} of edge normalization, trainable; empty without.
        beta: scalar, weight of the auxiliary operation; not trained, set by a schedule once an epoch.
        skip_dropout: the `SkipDropout` of every `skip_connect` candidate, with its `rate`; None without.
        most_multiply_adds: of the network that `genotype` derives; None: any, the only value where no costs are known.
    """

    most_multiply_adds: int | None = None

    def __init__(self, space: Space, options: SupernetOptions | None = None, **kwargs):
        super().__init__(**kwargs)
        self.space, self.options = space, options or SupernetOptions()
        rate = self.options.skip_dropout
        self.skip_dropout = SkipDropout(rate) if rate else None

    def build_architecture(self, num_candidates: Mapping[str, Sequence[int]], edges: Sequence[Edge] = ()) -> None:
        """Create alpha {kind: shape}, beta and the dropout rate. `edges`: those of a cell, for edge normalization."""
        self.edges = list(edges)
        if self.skip_dropout is not None:
            self.skip_dropout.build()
        self.alphas = {kind: self._alpha(shape, f"alpha_{kind}") for kind, shape in num_candidates.items()}
        self.edge_alphas = {}
        if self.options.edge_normalization:
            self.edge_alphas = {kind: self._alpha((len(edges),), f"edge_{kind}") for kind in num_candidates}
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

    def softmax_alphas(self) -> dict[str, tf.Tensor]:
        """{kind: softmax(alpha) [edges, candidates]} as tensors of the present pass."""
        return {kind: tf.nn.softmax(tf.convert_to_tensor(alpha)) for kind, alpha in self.alphas.items()}

    def normalised_edges(self) -> dict[str, tf.Tensor]:
        """{kind: [edges]} weights of edge normalization as tensors of the present pass; empty without."""
        return {
            kind: normalise_edges(tf.convert_to_tensor(alpha), self.edges) for kind, alpha in self.edge_alphas.items()
        }

    @property
    def weighted_layers(self) -> Sequence[keras.layers.Layer]:
        """The layers whose trainable variables are the supernet's weights, in a fixed order."""
        raise NotImplementedError

    @property
    def alpha_variables(self) -> list[keras.Variable]:
        """The architecture parameters."""
        return [*self.alphas.values(), *self.edge_alphas.values()]

    @property
    def weight_variables(self) -> list[keras.Variable]:
        """The trainable variables of the operations: all but alpha."""
        return [variable for layer in self.weighted_layers for variable in layer.trainable_variables]

    def alpha_values(self) -> dict[str, np.ndarray]:
        """{kind: alpha} as arrays."""
        return {kind: alpha.numpy() for kind, alpha in self.alphas.items()}

    def edge_weights(self) -> dict[str, np.ndarray] | None:
        """{kind: [edges]} weights of edge normalization as arrays; None without."""
        return {kind: value.numpy() for kind, value in self.normalised_edges().items()} or None

    def genotype(self) -> Genotype:
        """The architecture that alpha stands for now."""
        raise NotImplementedError

    def expected_multiply_adds(self) -> tf.Tensor:
        """Of the network that alpha stands for, its operations being drawn with probabilities softmax(alpha).

        Raises:
            UsageError: where the space's costs are not known.
        """
        raise UsageError(f"flops needs a space whose costs are known. Received: {self.space.name!r}")

    def get_config(self):
        raise UsageError(
            "A supernet is rebuilt by build_supernet and its weights are loaded by checkpoint; it has no config."
        )
