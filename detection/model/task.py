"""Model Garden's RetinaNet task, registered for our config."""

import re

import tensorflow as tf
import tf_keras
from official.core import task_factory
from official.vision.modeling import retinanet_model
from official.vision.tasks import retinanet

from dartsminus_tf.foundation.errors import require
from detection.coco.annotations import Labels, read_labels
from detection.data import tfds_coco
from detection.data.shards import input_files
from detection.model import backbone as _backbone  # noqa: F401  registers the "dartsminus" builder
from detection.model import recipe
from detection.model.evaluator import RecordingEvaluator

_MEANING = re.compile(r"([*?[])")

tfds_coco.register()


@task_factory.register_task_cls(recipe.DartsMinusRetinaNetTask)
class DartsMinusRetinaNetTask(retinanet.RetinaNetTask):
    """RetinaNet's own training and evaluation steps; reading, evaluating and precision differ.

    - A batch with a record that cannot be read is skipped, so that a damaged image costs a batch and not the run.
    - `coco_metric` evaluates every image seen, and keeps the outcome.
    - Outputs of a network in half precision are float32 before losses and boxes are computed from them.
    """

    def __init__(self, params: recipe.DartsMinusRetinaNetTask, labels: Labels | None = None, **kwargs):
        """See the base class.

        Args:
          params: the task's config.
          labels: of the validation data; where they are not given, the first evaluation reads `annotation_file`.
          **kwargs: the base class's.
        """
        super().__init__(params, **kwargs)
        self._labels = labels

    def build_model(self) -> tf_keras.Model:
        """RetinaNet; in half precision its head hands out float32, as coordinates need more than bfloat16's 8 bits."""
        model = super().build_model()
        if tf_keras.mixed_precision.global_policy().compute_dtype == "float32":
            return model
        return retinanet_model.RetinaNetModel(**(model.get_config() | {"head": Float32Outputs(model.head)}))

    def build_inputs(self, params, input_context=None) -> tf.data.Dataset:
        """Batches of images and labels."""
        if not params.tfds_name:
            params = params.replace(input_path=[_as_pattern(file) for file in input_files(params.input_path)])
        return super().build_inputs(params, input_context).ignore_errors()

    def build_metrics(self, training: bool = True) -> list:
        """Loss means; outside training also `self.coco_metric`."""
        metrics = super().build_metrics(training=True)
        if not training:
            labels = self._labels or read_labels(self.task_config.annotation_file)
            self.coco_metric = RecordingEvaluator(labels.instances, self.task_config.max_num_eval_detections)
        return metrics


def _as_pattern(file: str) -> str:
    """What Model Garden reads as `file`: it parts names at commas, and takes those with `*` or `?` for patterns.

    Raises:
      UsageError: where a name has a comma and other files would match what can be written for it.
    """
    if not set(file) & set(",*?"):
        return file
    pattern = _MEANING.sub(r"[\1]", file).replace("\\", "\\\\").replace(",", "?")
    require(tf.io.gfile.glob(pattern) == [file], "a path with a comma must differ from others in more than it", file)
    return pattern


class Float32Outputs(tf_keras.layers.Layer):
    """A layer whose outputs, in whatever structure, are cast to float32."""

    def __init__(self, layer: tf_keras.layers.Layer, **kwargs):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.layer = layer

    def call(self, inputs):
        """The inner layer's outputs as float32."""
        return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), self.layer(inputs))
