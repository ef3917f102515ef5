"""The supernet of the mobile space: stem, searched layers that are mixed operations, head."""

from collections.abc import Sequence

import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError, require
from dartsminus_tf.spaces.mobilenet.blocks import MobileHead, MobileStem
from dartsminus_tf.spaces.mobilenet.costs import layer_costs, surrounding_cost
from dartsminus_tf.spaces.mobilenet.derive import strongest, strongest_within
from dartsminus_tf.spaces.mobilenet.genotype import PRIMITIVES, MobileGenotype
from dartsminus_tf.spaces.mobilenet.mixed import CANDIDATES, MobileLayer
from dartsminus_tf.spaces.mobilenet.plan import (
    HEAD,
    PYTORCH,
    SEPARABLE,
    STEM,
    WIDTHS,
    check_convention,
    depths_of,
    plan_network,
)
from dartsminus_tf.spaces.supernet import SearchNetwork

KINDS = ("change", "keep")


class MobileSupernet(SearchNetwork):
    """The supernet; see `dartsminus_tf.build_supernet`, where channels / 32 multiplies all widths.

    Options of its own are `depths` (of the six stages; then `layers` is their sum), and `widths`, `stem_width`,
    `separable_width`, `head_width`, `padding`, `norm_epsilon` as in `network.MobileNetwork`; and `affine`, whether the
    searched layers' norms have scales and offsets, which trained weights need (see `mixed.MobileLayer`).

    `alphas` is {"change": [6, 6], "keep": [layers - 6, 7]}: a row for each layer that changes stride or width, and for
    each of the others, in the network's order; columns are `genotype.PRIMITIVES`, the skip last.
    """

    def __init__(
        self,
        space,
        channels: int,
        layers: int,
        num_classes: int,
        options=None,
        depths: Sequence[int] | None = None,
        widths: Sequence[int] | None = None,
        stem_width: int = STEM,
        separable_width: int = SEPARABLE,
        head_width: int = HEAD,
        padding: str = PYTORCH.padding,
        norm_epsilon: float = PYTORCH.norm_epsilon,
        affine: bool = False,
        **kwargs,
    ):
        super().__init__(space, options, **kwargs)
        self.channels, self.num_layers, self.num_classes = channels, layers, num_classes
        self.convention, self.affine = check_convention(padding, norm_epsilon), affine
        around = (stem_width, separable_width, head_width)
        self.depths = tuple(depths) if depths is not None else depths_of(layers)
        self.plan = plan_network(self.depths, widths or WIDTHS, channels / STEM, *around)
        require(len(self.plan.layers) == layers, f"layers must be {sum(self.depths)}, the sum of depths", layers)
        self.image_size = None
        self.stem = MobileStem(self.plan.stem, self.plan.separable, convention=self.convention)
        about = (self.options.auxiliary is not None, self.options.rematerialize, self.convention, affine)
        self.layers_searched = [MobileLayer(plan, *about, name=f"layer_{i}") for i, plan in enumerate(self.plan.layers)]
        self.head = MobileHead(self.plan.head, num_classes, convention=self.convention)
        self.rows = {kind: [i for i, plan in enumerate(self.plan.layers) if _kind(plan) == kind] for kind in KINDS}

    def build(self, input_shape):
        self.image_size = tuple(input_shape[1:3])
        self.stem.build(input_shape)
        for layer in self.layers_searched:
            layer.build()
        self.head.build((None, None, None, self.plan.layers[-1].channels))
        columns = {"change": CANDIDATES, "keep": CANDIDATES + 1}
        self.build_architecture({kind: (len(rows), columns[kind]) for kind, rows in self.rows.items() if rows})

    def call(self, x, training=False):
        beta, weights = tf.convert_to_tensor(self.beta), self._layer_weights(self.softmax_alphas())
        x = self.stem(x, training=training)
        for index, layer in enumerate(self.layers_searched):
            x = layer(x, weights[index], beta, training=training)
        return self.head(x, training=training)

    def _layer_weights(self, weights) -> dict:
        """The rows of {kind: [rows, candidates]} by the index of their layer."""
        return {layer: weights[kind][row] for kind in weights for row, layer in enumerate(self.rows[kind])}

    @property
    def weighted_layers(self):
        return (self.stem, *self.layers_searched, self.head)

    def genotype(self) -> MobileGenotype:
        """The strongest candidate of every layer, or the most probable ones within `most_multiply_adds`."""
        alphas = [row for _, row in sorted(self._layer_weights(self.alpha_values()).items())]
        if self.most_multiply_adds is None:
            picks = strongest(alphas)
        else:
            rest = surrounding_cost(self.plan, self._known_size(), self.num_classes)
            costs = list(layer_costs(self.plan, self._known_size()).values())
            picks = strongest_within(alphas, costs, self.most_multiply_adds - rest)
        names, ends = [PRIMITIVES[pick] for pick in picks], [end + 1 for end in self.plan.stage_ends]
        return MobileGenotype(tuple(tuple(names[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)))

    def expected_multiply_adds(self) -> tf.Tensor:
        """Of the network that alpha stands for, its layers being drawn with probabilities softmax(alpha); a scalar.

            E = c_0 + sum over layers l  sum_k softmax(alpha_l)_k c_lk

        c_lk being the multiply-adds of candidate k in layer l for one image of the size that it was built for.
        """
        weights, size = self._layer_weights(self.softmax_alphas()), self._known_size()
        costs = layer_costs(self.plan, size)
        total = tf.constant(surrounding_cost(self.plan, size, self.num_classes), tf.float32)
        for index, row in costs.items():
            total += tf.reduce_sum(weights[index] * tf.constant(row, tf.float32))
        return total

    def _known_size(self) -> tuple[int, int]:
        if self.image_size is None or None in self.image_size:
            raise UsageError("The supernet must be built for images of a known size before its costs are known.")
        return self.image_size


def _kind(plan) -> str:
    return "keep" if plan.has_skip else "change"
