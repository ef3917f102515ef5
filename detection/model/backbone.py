"""An exported SavedModel as a tf_keras backbone that RetinaNet trains."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras
from official.vision.modeling.backbones import factory
from official.vision.ops import preprocess_ops

from dartsminus_tf.foundation.errors import UsageError, brief
from detection.model import manifest as manifest_lib
from detection.model import stages

_AGAIN = "export it again with tools/export.py"
# What TensorFlow raises on a damaged graph or damaged variables; of a graph, whatever it comes upon.
_DAMAGE = (OSError, tf.errors.OpError, ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError)


@dataclasses.dataclass(frozen=True)
class _Endpoints:
    """Keeps the loaded object out of Keras' attribute tracking: its weights are listed explicitly."""

    loaded: object
    serve: object
    train: object


class SavedModelBackbone(tf_keras.Model):
    """Backbone whose forward pass is one of the two endpoints of a SavedModel.

    `train` (batch statistics, updates the moving ones) runs only if `training and self.trainable and not
    freeze_batch_norm`; `serve` (moving statistics) runs otherwise, so a frozen backbone keeps its
    statistics. The choice is made when the graph is traced: set `trainable` before training starts, as Model
    Garden's task does.

    Model Garden normalises images with ImageNet's mean `m` and standard deviation `s`. The backbone wants its
    manifest's `m'` and `s'`; since both are affine in the image, `x' = x * s / s' + (m - m') / s'` converts.

    Args:
      manifest: the checked manifest; `manifest.path` is loaded.
      input_size: (height, width) in pixels, multiples of 2**l for every level l in use.
      l2_regularizer: applied to kernels (rank above 1), which Model Garden's own regularizer cannot
        reach inside a SavedModel. None adds nothing.
      freeze_batch_norm: train the weights with the moving statistics fixed (for very small batches).
      frozen_level: fix every variable that this level and lower ones are computed from; needs
        `freeze_batch_norm`, because the `train` endpoint moves the statistics of all stages.
      input_mean, input_std: what the arriving images were normalised with.

    Raises:
      UsageError: the SavedModel breaks the contract (an endpoint, a level or a shape is missing or
        wrong).
    """

    def __init__(
        self,
        manifest: manifest_lib.Manifest,
        input_size: tuple[int, int],
        l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
        freeze_batch_norm: bool = False,
        frozen_level: int | None = None,
        input_mean: tuple[float, ...] = preprocess_ops.MEAN_NORM,
        input_std: tuple[float, ...] = preprocess_ops.STDDEV_NORM,
        **kwargs,
    ):
        # float32 whatever the global policy: the SavedModel's signature takes nothing else.
        super().__init__(dtype="float32", **kwargs)
        self._manifest = manifest
        self._freeze_batch_norm = freeze_batch_norm
        self._scale, self._offset = _affine(input_mean, input_std, manifest)
        self._endpoints = _load(manifest)
        self._trained, self._moving = _variable_lists(self._endpoints.loaded, manifest)
        _require_finite([*self._trained, *self._moving], manifest)
        self._frozen: set = set()
        self._check_features()
        if frozen_level is not None:
            self._freeze_up_to(frozen_level)
        self._output_specs = {
            str(level): tf.TensorShape([None, input_size[0] // 2**level, input_size[1] // 2**level, channels])
            for level, channels in manifest.channels.items()
        }
        if l2_regularizer is not None:
            self.add_loss(lambda: self._l2_loss(l2_regularizer))

    def _freeze_up_to(self, level: int) -> None:
        if not self._freeze_batch_norm:
            raise UsageError("frozen_level needs freeze_batch_norm=true. Received: freeze_batch_norm=false")
        self._frozen = {v.ref() for v in stages.variables_up_to(self._endpoints.serve, self._trained, level)}

    def _l2_loss(self, regularizer: tf_keras.regularizers.Regularizer) -> tf.Tensor:
        kernels = [v for v in self.trainable_weights if v.shape.rank > 1]
        return tf.add_n([regularizer(kernel) for kernel in kernels]) if kernels else tf.constant(0.0)

    def _check_features(self) -> None:
        side = 2 ** (max(self._manifest.levels) + 1)
        # A strategy with several devices runs a restored function on its devices alone.
        strategy = tf.distribute.get_strategy()
        try:
            outputs = strategy.run(self._endpoints.serve, args=(tf.zeros([1, side, side, 3]),))
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnimplementedError) as error:
            path = str(self._manifest.path)
            raise UsageError(f"the SavedModel cannot be run; {_AGAIN} ({brief(error)}). Received: {path!r}") from None
        outputs = {name: strategy.experimental_local_results(value)[0] for name, value in outputs.items()}
        features = _as_features(outputs, self._manifest)
        for level, channels in self._manifest.channels.items():
            expected, actual = [1, side // 2**level, side // 2**level, channels], features[str(level)].shape
            if actual.as_list() != expected:
                raise UsageError(
                    f"level {level} of {str(self._manifest.path)!r} must be {expected} for {side} pixels. "
                    f"Received: {actual.as_list()}"
                )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Features by level, `{"3": [N, H/8, W/8, C3], ...}`, of images `[N, H, W, 3]`."""
        images = tf.cast(inputs, tf.float32) * self._scale + self._offset
        use_batch_statistics = bool(training) and self.trainable and not self._freeze_batch_norm
        endpoint = self._endpoints.train if use_batch_statistics else self._endpoints.serve
        features = _as_features(endpoint(images), self._manifest)
        return {level: _with_static_shape(features[level], images, int(level)) for level in self._output_specs}

    def average_statistics(self) -> None:
        """Gives every device the mean of all devices' moving statistics, which the export updates on each alone."""
        for variable in self._moving:
            parts = getattr(variable, "values", ())
            if len(parts) > 1:
                variable.assign(tf.add_n([part.read_value() for part in parts]) / len(parts))

    @property
    def output_specs(self) -> Mapping[str, tf.TensorShape]:
        """Feature shapes by level; Model Garden builds its decoder from them."""
        return self._output_specs

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """The SavedModel's `backbone_trainable`, unless frozen; never its classifier."""
        return [v for v in self._trained if v.ref() not in self._frozen] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """Moving statistics, frozen stages, and everything once frozen."""
        fixed = [v for v in self._trained if v.ref() in self._frozen] if self.trainable else list(self._trained)
        return fixed + list(self._moving)


def _affine(mean, std, manifest: manifest_lib.Manifest) -> tuple[tf.Tensor, tf.Tensor]:
    scale = [s / target for s, target in zip(std, manifest.std, strict=True)]
    offset = [(m - t) / s for m, t, s in zip(mean, manifest.mean, manifest.std, strict=True)]
    return tf.constant(scale, tf.float32), tf.constant(offset, tf.float32)


def _load(manifest: manifest_lib.Manifest) -> _Endpoints:
    path = str(manifest.path)
    try:
        loaded = tf.saved_model.load(path)
    except _DAMAGE as error:
        raise UsageError(f"the SavedModel cannot be loaded; {_AGAIN} ({brief(error)}). Received: {path!r}") from None
    for name in ("serve", "train"):
        if not callable(getattr(loaded, name, None)):
            raise UsageError(
                f"the SavedModel has no endpoint {name!r}; export it with tools/export.py. Received: {path!r}"
            )
    return _Endpoints(loaded, loaded.serve, loaded.train)


def _require_finite(variables: list, manifest: manifest_lib.Manifest) -> None:
    for variable in variables:
        if not np.isfinite(variable.numpy()).all():
            raise UsageError(
                f"the SavedModel's weights must be finite, and those of {variable.name} are not; train and export "
                f"again. Received: {str(manifest.path)!r}"
            )


def _variable_lists(loaded: object, manifest: manifest_lib.Manifest) -> tuple[list, list]:
    if hasattr(loaded, "backbone_trainable"):
        trained, moving = list(loaded.backbone_trainable), list(getattr(loaded, "backbone_non_trainable", []))
    else:  # a SavedModel of another origin: then a classifier head, if any, is among them without a gradient
        trained = list(getattr(loaded, "trainable_variables", []))
        known = {id(v) for v in trained}
        moving = [v for v in getattr(loaded, "variables", []) if id(v) not in known]
    if not trained:
        raise UsageError(
            f"the SavedModel lists no trainable variables (backbone_trainable). Received: {str(manifest.path)!r}"
        )
    return trained, moving


def _as_features(outputs: object, manifest: manifest_lib.Manifest) -> Mapping[str, tf.Tensor]:
    levels = sorted(outputs) if isinstance(outputs, Mapping) else type(outputs).__name__
    missing = [str(l) for l in manifest.levels if not isinstance(outputs, Mapping) or str(l) not in outputs]  # noqa: E741
    if missing:
        raise UsageError(f"the endpoint must return levels {missing} as the manifest says. Received: {levels}")
    return outputs


def _with_static_shape(feature: tf.Tensor, images: tf.Tensor, level: int) -> tf.Tensor:
    # A restored function forgets height and width, which the pyramid's upsampling reads statically.
    sides = [side // 2**level if side is not None else None for side in images.shape[1:3]]
    return tf.ensure_shape(feature, [images.shape[0], *sides, feature.shape[-1]])


@factory.register_backbone_builder("dartsminus")
def build_dartsminus(input_specs, backbone_config, norm_activation_config, l2_regularizer=None) -> tf_keras.Model:
    """Builds the backbone for Model Garden's factory; `norm_activation_config` has nothing to act on here."""
    del norm_activation_config
    config = backbone_config.get()
    if config.l2_weight_decay is not None:
        # Half of it, as Model Garden halves losses.l2_weight_decay: tf.nn.l2_loss carries the 1/2.
        decay = config.l2_weight_decay
        l2_regularizer = tf_keras.regularizers.l2(decay / 2.0) if decay else None
    return SavedModelBackbone(
        manifest_lib.read_manifest(config.saved_model),
        input_size=tuple(input_specs.shape[1:3]),
        l2_regularizer=l2_regularizer,
        freeze_batch_norm=bool(config.freeze_batch_norm),
        frozen_level=config.frozen_level,
        name="backbone",
    )
