"""What supernets of all families have in common: alpha, beta, and which variables are whose."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops.candidates import Edge
from dartsminus_tf.ops.graph import normalise_edges
from dartsminus_tf.ops.layers import SkipDropout
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.options import SupernetOptions

ALPHA_STDDEV = 1e-3


class SearchNetwork(keras.Model):
    """Base of every supernet: `net(x, training=...)` maps images [N, H, W, 3] to logits [N, num_classes].

    A family's supernet calls `build_architecture` in `build` and implements `genotype` and `weighted_layers`.

    Attributes:
        alphas: {kind of cell: [edges, candidates]}, trainable, started at 1e-3 * N(0, 1).
        edge_alphas: {kind of cell: [edges]} of edge normalization, trainable; empty without.
        beta: scalar, weight of the auxiliary operation; not trained, set by a schedule once an epoch.
        skip_dropout: the `SkipDropout` of every `skip_connect` candidate, with its `rate`; None without.
    """

    def __init__(self, space, options: SupernetOptions | None = None, **kwargs):
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

    def get_config(self):
        raise UsageError(
            "A supernet is rebuilt by build_supernet and its weights are loaded by checkpoint; it has no config."
        )


def softmax(alpha: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    alpha = np.asarray(alpha, np.float64)
    exp = np.exp(alpha - alpha.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)
