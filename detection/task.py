"""Model Garden's RetinaNet task, registered for our config, whose evaluator keeps what it evaluated."""

import contextlib
import io

from official.core import task_factory
from official.vision.evaluation import coco_evaluator, coco_utils
from official.vision.tasks import retinanet

from detection import backbone as _backbone  # noqa: F401  registers the "dartsminus" builder
from detection import configs


class RecordingCOCOEvaluator(coco_evaluator.COCOEvaluator):
    """COCOEvaluator that keeps the last evaluated detections, for per-class AP, and does not print tables.

    `last_predictions` holds COCO result entries: image_id, category_id, bbox [x, y, width, height], score.
    """

    last_predictions: list[dict] = []

    def evaluate(self) -> dict:
        """COCO metrics by name; see the base class."""
        # The conversion turns boxes from yxyx to xywh in place, so it gets copies.
        copies = {key: [array.copy() for array in arrays] for key, arrays in self._predictions.items()}
        self.last_predictions = coco_utils.convert_predictions_to_coco_annotations(copies)
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its table
            return super().evaluate()


@task_factory.register_task_cls(configs.DartsMinusRetinaNetTask)
class DartsMinusRetinaNetTask(retinanet.RetinaNetTask):
    """RetinaNet's own training and evaluation steps; only the evaluator differs."""

    def build_metrics(self, training: bool = True) -> list:
        """Loss means; outside training also `self.coco_metric`."""
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints while it loads annotations
            metrics = super().build_metrics(training=training)
            if not training and self.task_config.use_coco_metrics:
                self.coco_metric = RecordingCOCOEvaluator(
                    annotation_file=self.task_config.annotation_file,
                    include_mask=False,
                    max_num_eval_detections=self.task_config.max_num_eval_detections,
                )
        return metrics
