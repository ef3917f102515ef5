"""One searched layer of the mobile supernet: the mixed operation of DARTS- over six inverted residuals and a skip.

    o(x) = sum_k w_k (IR_k(x) + x) + w_skip x + beta x       where stride and width allow an identity
    o(x) = sum_k w_k IR_k(x)                                 elsewhere

w = softmax(alpha). The candidates of one kernel size share their input, and batch norm works channel by channel: their
1x1 expansions are one product of 3 + 6 = 9 times the width, and their depthwise convolutions one convolution.
w_k is the scale of a candidate's last batch norm; where norms are affine it multiplies that norm's scale and offset.
`MobileLayer.pass_over` is a pure function of tensors, so that it can be computed a second time in the backward pass
(see `mixed.recompute`).
"""

import keras
import tensorflow as tf

from dartsminus_tf.mixed.norm_bank import Norms
from dartsminus_tf.mixed.recompute import recomputed
from dartsminus_tf.ops import functional as fn
from dartsminus_tf.ops.layers import uniform_fan_in
from dartsminus_tf.ops.norm import MOMENTUM, update_moving
from dartsminus_tf.spaces.mobilenet.genotype import EXPANSIONS, KERNELS
from dartsminus_tf.spaces.mobilenet.plan import PYTORCH, Convention, LayerPlan

CANDIDATES = len(KERNELS) * len(EXPANSIONS)


class MobileLayer(keras.layers.Layer):
    """`(x, weights, beta) -> o(x)` for x [N, H, W, C].

    Args:
        plan: where the layer stands.
        auxiliary: whether beta times the auxiliary skip is added, where there is one.
        rematerialize: compute the layer again in the backward pass instead of keeping what it needs.
        convention: its padding and its norms' epsilon.
        affine: whether the batch norms have a scale and an offset that are learned.

    Batch norms are affine-free, as in the cells of a search, so that alpha alone scales a candidate. A supernet that
    starts from trained weights needs affine ones: their scales and offsets lie before ReLU6, where neither the kernels
    beside them nor alpha can take their place, and those of the last norm say how much a block adds to its input.
    """

    def __init__(
        self,
        plan: LayerPlan,
        auxiliary: bool = True,
        rematerialize: bool = False,
        convention: Convention = PYTORCH,
        affine: bool = False,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # alpha's weights stay float32 in mixed precision
        self.convention, self.affine = convention, affine
        self.plan, self.auxiliary, self.rematerialize = plan, auxiliary and plan.has_skip, rematerialize

    def build(self, input_shape=None):
        width, out = self.plan.in_channels, self.plan.channels
        middle = sum(EXPANSIONS) * width
        self.expand = self._kernel((len(KERNELS), width, middle), width, "expand")
        self.depthwise = [self._kernel((k, k, middle, 1), k * k, f"depthwise_{k}") for k in KERNELS]
        self.project = [self._kernel((len(KERNELS), e * width, out), e * width, f"project_{e}") for e in EXPANSIONS]
        shapes = {"middle": (2 * len(KERNELS), middle), "output": (CANDIDATES, out)}
        self.middle_mean, self.middle_variance = self._rows(shapes["middle"], "middle", ("mean", "variance"))
        self.output_mean, self.output_variance = self._rows(shapes["output"], "output", ("mean", "variance"))
        self.scales_and_offsets = []
        if self.affine:
            for name, shape in shapes.items():
                self.scales_and_offsets += self._rows(shape, name, ("offset", "scale"), trainable=True)[::-1]

    def _kernel(self, shape, fan_in: int, name: str) -> keras.Variable:
        return self.add_weight(shape=shape, initializer=uniform_fan_in(fan_in), name=name)

    def _rows(self, shape, name: str, kinds, trainable: bool = False) -> list[keras.Variable]:
        """Two variables [norms, channels], the first of zeros, the second of ones."""
        options = {"shape": shape, "trainable": trainable, "dtype": "float32", "autocast": False}
        options |= {} if trainable else {"aggregation": "mean"}
        return [
            self.add_weight(initializer=start, name=f"{name}_{kind}", **options)
            for kind, start in zip(kinds, ("zeros", "ones"), strict=True)
        ]

    def call(self, x, weights, beta, training=False):
        """`weights` [6] or [7] are softmax(alpha), the skip last where there is one; `beta` a scalar."""
        training = training and self.trainable
        statistics = (self.middle_mean, self.middle_variance, self.output_mean, self.output_variance)
        kernels = [tf.cast(kernel, x.dtype) for kernel in (self.expand, *self.depthwise, *self.project)]
        norms = [tf.convert_to_tensor(value) for value in (*self.scales_and_offsets, *statistics)]
        function = lambda *tensors: self.pass_over(*tensors, training=training)  # noqa: E731
        if self.rematerialize and training:
            function = recomputed(function)
        y, *batch = function(x, weights, tf.convert_to_tensor(beta), *kernels, *norms)
        for variable, value in zip(statistics, batch, strict=training):
            update_moving(variable, value, MOMENTUM)
        return y

    def pass_over(self, x, weights, beta, expand, *tensors, training):
        """o(x), then in training the batch statistics in the order of the moving ones, which come last in `tensors`;
        before them the scales and offsets of affine norms."""
        depthwise, project, affine, moving = tensors[:3], tensors[3:5], tensors[5:-4], tensors[-4:]
        padding, epsilon = self.convention
        norms, width, middle, addends = Norms(*moving[:2], training, epsilon), self.plan.in_channels, [], []
        inner, outer = self._scales(affine[:2]), self._scales(affine[2:], weights)
        for index, kernels in enumerate(zip(tf.unstack(expand), depthwise, strict=True)):
            y = tf.nn.relu6(norms(fn.pointwise(x, kernels[0]), 2 * index, *inner(2 * index)))
            y = fn.depthwise_conv(y, kernels[1], self.plan.stride, padding=padding)
            middle.append(tf.nn.relu6(norms(y, 2 * index + 1, *inner(2 * index + 1))))
        outputs = Norms(*moving[2:], training, epsilon)
        for index, y in enumerate(middle):
            parts = tf.split(y, [e * width for e in EXPANSIONS], axis=-1)
            for part, kernels in zip(parts, project, strict=True):
                k = len(addends)
                addends.append(outputs(fn.pointwise(part, kernels[index]), k, *outer(k)))
        if self.plan.has_skip:
            carried = tf.reduce_sum(weights) + (beta if self.auxiliary else 0.0)
            addends.append(x * tf.cast(carried, x.dtype))
        return [tf.add_n(addends), *norms.statistics(), *outputs.statistics()]

    def _scales(self, affine, weights=None):
        """norm -> (scale [C],) or (scale [C], offset [C]), times its candidate's weight where there are `weights`; an
        empty tuple where both are left out."""
        if not affine:
            return lambda row: () if weights is None else (tf.fill([self.plan.channels], weights[row]),)
        if weights is not None:
            affine = [value * weights[:CANDIDATES, None] for value in affine]
        return list(zip(*map(tf.unstack, affine), strict=True)).__getitem__
