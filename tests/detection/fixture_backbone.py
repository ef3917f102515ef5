"""A tiny SavedModel that obeys the backbone contract, made of plain TensorFlow."""

import json
from pathlib import Path

import tensorflow as tf

MOMENTUM, EPSILON = 0.9, 1e-3


class TinyBackbone(tf.Module):
    """Stride-2 convolutions with batch norm; level l is the l-th one's output.

    Args:
      channels: channels of convolutions 1, 2, ...; the last is the highest level.
      levels: levels to return.
      seed: of the initial weights.
    """

    def __init__(self, channels=(8, 8, 12, 16, 16), levels=(3, 4, 5), seed: int = 0):
        super().__init__()
        self.levels = levels
        self.kernels, self.scales, self.means, self.variances = [], [], [], []
        before = 3
        for index, width in enumerate(channels):
            scale = (2.0 / (9 * before)) ** 0.5
            kernel = tf.random.stateless_normal([3, 3, before, width], [seed, index]) * scale
            self.kernels.append(tf.Variable(kernel, name=f"kernel_{index}"))
            self.scales.append(tf.Variable(tf.ones([width]), name=f"scale_{index}"))
            self.means.append(tf.Variable(tf.zeros([width]), trainable=False, name=f"mean_{index}"))
            self.variances.append(tf.Variable(tf.ones([width]), trainable=False, name=f"variance_{index}"))
            before = width
        self.head = tf.Variable(tf.zeros([before, 10]), name="head")
        self.backbone_trainable = self.kernels + self.scales
        self.backbone_non_trainable = self.means + self.variances

    def _features(self, x: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        features = {}
        for index, kernel in enumerate(self.kernels):
            x = tf.nn.conv2d(x, kernel, 2, "SAME")
            mean, variance = self.means[index], self.variances[index]
            if training:
                batch_mean, batch_variance = tf.nn.moments(x, [0, 1, 2])
                mean.assign(MOMENTUM * mean + (1 - MOMENTUM) * batch_mean)
                variance.assign(MOMENTUM * variance + (1 - MOMENTUM) * batch_variance)
                mean, variance = batch_mean, batch_variance
            x = tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, None, self.scales[index], EPSILON))
            if index + 1 in self.levels:
                features[str(index + 1)] = x
        return features

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def serve(self, x):
        return self._features(x, training=False)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def train(self, x):
        return self._features(x, training=True)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def classify(self, x):
        last = self._features(x, training=False)[str(max(self.levels))]
        return tf.reduce_mean(last, [1, 2]) @ self.head


def save_backbone(folder, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), manifest_changes=None, **kwargs) -> str:
    """Saves a TinyBackbone with its manifest; `manifest_changes` replace keys (None removes one)."""
    module = TinyBackbone(**kwargs)
    tf.saved_model.save(module, str(folder))
    features = module.serve(tf.zeros([1, 64, 64, 3]))
    manifest = {
        "format": "dartsminus_tf.backbone",
        "format_version": 1,
        "levels": {level: {"channels": f.shape[-1], "stride": 2 ** int(level)} for level, f in features.items()},
        "preprocessing": {
            "mean": list(mean),
            "std": list(std),
            "channels": 3,
            "scale": "x / 255 then (x - mean) / std",
        },
        "num_classes": 10,
    } | (manifest_changes or {})
    manifest = {key: value for key, value in manifest.items() if value is not None}
    (Path(folder) / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return str(folder)
