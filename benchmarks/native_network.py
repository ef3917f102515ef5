"""An exported DARTS network built anew of tf_keras layers, with the export's weights: the SavedModel's counterpart."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

LOWEST = -3.0e38


class NativeBackbone(tf_keras.Model):
    """The features of an export, `{"3": ..., "4": ..., "5": ...}`, by tf_keras layers alone.

    Args:
      saved_model: an export with the ImageNet stem.
      size: side of the images in pixels.
      regularizer: of the convolution kernels.
    """

    def __init__(self, saved_model: str, size: int, regularizer=None):
        manifest = json.loads((Path(saved_model) / "manifest.json").read_text())
        loaded = tf.saved_model.load(saved_model)
        weights = _Weights(
            iter([v.numpy() for v in loaded.backbone_trainable]),
            iter([v.numpy() for v in loaded.backbone_non_trainable]),
            regularizer,
        )
        images = tf_keras.Input([size, size, 3])
        outputs = _features(images, manifest, weights)
        super().__init__(images, outputs, name="native")
        self.output_specs = {level: feature.shape for level, feature in outputs.items()}
        weights.assign()


class _Weights:
    """Hands out arrays in the order of the export, and sets them once all layers are built."""

    def __init__(self, trained: Iterator[np.ndarray], moving: Iterator[np.ndarray], regularizer):
        self._trained, self._moving, self.regularizer = trained, moving, regularizer
        self._pairs: list = []

    def kernel(self) -> np.ndarray:
        return next(self._trained)

    def apply(self, layer: tf_keras.layers.Layer, x, arrays: list[np.ndarray]):
        y = layer(x)
        self._pairs.append((layer, arrays))
        return y

    def norm(self, x):
        arrays = [next(self._trained), next(self._trained), next(self._moving), next(self._moving)]
        return self.apply(tf_keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5), x, arrays)

    def assign(self) -> None:
        for layer, arrays in self._pairs:
            layer.set_weights(arrays)
        if next(self._trained, None) is not None or next(self._moving, None) is not None:
            raise ValueError("the export has weights that the native network does not use")


def _pad(x, by: int, value: float = 0.0):
    return tf.pad(x, [[0, 0], [by, by], [by, by], [0, 0]], constant_values=value) if by else x


def _conv(x, kernel: np.ndarray, weights: _Weights, stride: int = 1):
    size, filters = kernel.shape[0], kernel.shape[-1]
    layer = tf_keras.layers.Conv2D(filters, size, stride, use_bias=False, kernel_regularizer=weights.regularizer)
    return weights.apply(layer, _pad(x, size // 2), [kernel])


def _conv_norm(x, weights: _Weights, stride: int = 1):
    return weights.norm(_conv(x, weights.kernel(), weights, stride))


def _separable(x, weights: _Weights, stride: int, dilation: int, repeats: int):
    kernels = [weights.kernel() for _ in range(2 * repeats)]
    for stage in range(repeats):
        depthwise, pointwise = kernels[2 * stage : 2 * stage + 2]
        size, x = depthwise.shape[0], tf_keras.layers.ReLU()(x)
        step, spread = (stride if stage == 0 else 1), dilation
        if step > 1 and spread > 1:  # every other pixel, convolved densely
            x, step, spread = tf_keras.layers.AveragePooling2D(1, step)(x), 1, 1
        layer = tf_keras.layers.DepthwiseConv2D(
            size, step, dilation_rate=spread, use_bias=False, depthwise_regularizer=weights.regularizer
        )
        x = weights.apply(layer, _pad(x, spread * (size // 2)), [depthwise])
        x = weights.norm(_conv(x, pointwise, weights))
    return x


def _factorized_reduce(x, weights: _Weights):
    kernels = weights.kernel()
    x = tf_keras.layers.ReLU()(x)
    halves = [
        _conv(part, kernel[None, None], weights, 2) for part, kernel in zip((x, x[:, 1:, 1:]), kernels, strict=True)
    ]
    return weights.norm(tf.concat(halves, axis=-1))


def _operation(name: str, x, weights: _Weights, stride: int):
    kind, _, size = name.rpartition("_")
    if name == "skip_connect":
        return x if stride == 1 else _factorized_reduce(x, weights)
    if kind in ("sep_conv", "dil_conv"):
        separable = kind == "sep_conv"
        return _separable(x, weights, stride, 1 if separable else 2, 2 if separable else 1)
    if name == "max_pool_3x3":
        return tf_keras.layers.MaxPool2D(3, stride)(_pad(x, 1, LOWEST))
    if name == "avg_pool_3x3":  # padding is not counted
        return tf_keras.layers.AveragePooling2D(1, stride)(tf_keras.layers.AveragePooling2D(3, 1, "same")(x))
    raise ValueError(f"no native form of this operation: {name} {size}")


def _cell(s0, s1, genotype: dict, weights: _Weights, reduction: bool, reduced_before: bool):
    kind = "reduce" if reduction else "normal"
    s0 = _factorized_reduce(s0, weights) if reduced_before else _conv_norm(tf_keras.layers.ReLU()(s0), weights)
    states = [s0, _conv_norm(tf_keras.layers.ReLU()(s1), weights)]
    entries = genotype[kind]
    for first in range(0, len(entries), 2):
        pair = [
            _operation(name, states[source], weights, 2 if reduction and source < 2 else 1)
            for name, source in entries[first : first + 2]
        ]
        states.append(tf_keras.layers.Add()(pair))
    return tf_keras.layers.Concatenate()([states[index] for index in genotype[f"{kind}_concat"]])


def _features(images, manifest: dict, weights: _Weights) -> dict:
    relu = tf_keras.layers.ReLU
    s0 = _conv_norm(relu()(_conv_norm(images, weights, 2)), weights, 2)
    s1 = _conv_norm(relu()(s0), weights, 2)
    layers = manifest["network"]["layers"]
    reductions = (layers // 3, 2 * layers // 3)
    outputs, reduced_before = [], True  # the first cell's inputs have strides 4 and 8
    for index in range(layers):
        s0, s1 = s1, _cell(s0, s1, manifest["genotype"], weights, index in reductions, reduced_before)
        reduced_before = index in reductions
        outputs.append(s1)
    ends = (reductions[0] - 1, reductions[1] - 1, layers - 1)
    return {level: outputs[end] for level, end in zip(("3", "4", "5"), ends, strict=True)}
