"""What a run says while it goes: console lines, rows of metrics.csv, TensorBoard images."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import tensorflow as tf
from official.core import config_definitions as cfg
from PIL import Image

from dartsminus_tf.foundation.disk.tables import MetricsTable, whole_rows
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import shown
from detection.coco import metrics as coco_metrics
from detection.coco.annotations import Labels
from detection.model import task as task_lib
from detection.show import report

VALIDATION = "validation"
_LOSSES = ("total_loss", "cls_loss", "box_loss", "model_loss", "learning_rate")


class Reporter:
    """Turns orbit's outputs into lines, rows and pictures, and keeps the last evaluation.

    Args:
      params: the run's config.
      folder: where everything goes.
      labels: of the evaluation data.
      threshold: least score of a drawn box.
      console: where lines go.
    """

    def __init__(self, params: cfg.ExperimentConfig, folder: Path, labels: Labels, threshold: float, console: TextIO):
        self._params, self._folder, self.labels = params, folder, labels
        self._threshold, self._console = threshold, console
        self._metrics: MetricsTable | None = None
        self._train_steps = params.trainer.train_steps
        self._start = time.monotonic()
        self._last: tuple[int, float] | None = None
        self._task: task_lib.DartsMinusRetinaNetTask | None = None
        self.global_step: tf.Variable | None = None
        self.evaluation: coco_metrics.Evaluation | None = None
        self.sheet: Image.Image | None = None
        self.evaluated_step = -1

    def say(self, text: str) -> None:
        """Prints one line."""
        print(shown(text), file=self._console, flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since this call of the program began its run."""
        return time.monotonic() - self._start

    def begin(self, global_step: tf.Variable, task: task_lib.DartsMinusRetinaNetTask) -> None:
        """Notes the step that the run starts or resumes from, and who evaluates."""
        self.global_step, self._task = global_step, task
        step = int(global_step.numpy())
        file, key = self._folder / "metrics.csv", {"key": "step", "parts": ("split",)}
        self._metrics = MetricsTable(file, whole_rows(file, end=step + 1, say=self.say, **key), **key)
        self._last = (step, self.seconds)

    def has_validated(self, step: int) -> bool:
        """Whether the table has the evaluation after `step`."""
        return any(int(row["step"]) == step and row["split"] == VALIDATION for row in self._metrics.rows)

    def on_train(self, output: Mapping[str, Any]) -> None:
        """Orbit calls this after every `steps_per_loop` steps."""
        step, seconds = int(self.global_step.numpy()), self.seconds
        row = _losses(output)
        rate = (step - self._last[0]) / max(seconds - self._last[1], 1e-9)
        self._last = (step, seconds)
        left = (self._train_steps - step) / rate if rate else 0.0
        self._metrics.append({"step": step, "split": "train", "seconds": f"{seconds:.1f}"} | row)
        self.say(
            f"step {step}/{self._train_steps}  loss {row['total_loss']:.3f} (class {row['cls_loss']:.3f}, "
            f"box {row['box_loss']:.4f})  lr {row['learning_rate']:.2g}  "
            f"{rate:.2f} steps/s, {left:.0f} s left"
        )

    def on_evaluation(self, output: Mapping[str, Any]) -> None:
        """Orbit calls this after every evaluation."""
        step, seconds = int(self.global_step.numpy()), self.seconds
        self.evaluation, self.evaluated_step = self._task.coco_metric.last, step
        if self.evaluation is None:
            raise UsageError("task.validation_data must hold an image that can be read. Received: none")
        metrics = self.evaluation.metrics
        losses = _losses(output)
        if not np.isfinite(list(losses.values())).all():
            raise UsageError(f"training diverged; lower the learning rate in a new run. Received: validation {losses}")
        row = losses | metrics
        self._metrics.append({"step": step, "split": VALIDATION, "seconds": f"{seconds:.1f}"} | row)
        self.say(f"step {step}  validation: {coco_metrics.metrics_line(metrics)}")
        self.sheet = report.validation_sheet(self._params, self.evaluation.detections, self.labels, self._threshold)
        self._to_tensorboard(step)
        self._last = (step, self.seconds)

    def write_report(self) -> None:
        """Writes tables and pictures of the last evaluation."""
        report.write(self._folder, self.evaluation, self.labels, self.sheet)

    def _to_tensorboard(self, step: int) -> None:
        folder = self._folder / self._params.trainer.validation_summary_subdir
        with tf.summary.create_file_writer(str(folder), filename_suffix=".images").as_default(step=step):
            tf.summary.image("detections", np.asarray(self.sheet)[None])
            tf.summary.image("precision_recall", np.asarray(report.precision_recall_chart(self.evaluation))[None])


def _losses(output: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(np.asarray(output[key])) for key in _LOSSES if key in output}
