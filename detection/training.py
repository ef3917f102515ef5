"""One detection run: Model Garden's task and orbit's loop, our progress lines, result.json at the end."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import tensorflow as tf
import tf_keras
from official.common import distribute_utils
from official.core import config_definitions as cfg
from official.core import task_factory, train_lib

from detection import atomic_files, coco_metrics, run_directory
from detection import task as _task  # noqa: F401  registers the task for our config
from detection.errors import DetectionError

_LOSSES = ("total_loss", "cls_loss", "box_loss", "model_loss", "learning_rate")


class Reporter:
    """Turns orbit's outputs into one console line each, rows of metrics.csv, and the last evaluation.

    Args:
      model_dir: the run directory.
      train_steps: steps of the whole run.
      console: where lines go.
    """

    def __init__(self, model_dir: str, train_steps: int, console: TextIO):
        self._metrics = run_directory.MetricsFile(model_dir)
        self._train_steps, self._console = train_steps, console
        self._start = time.monotonic()
        self._last: tuple[int, float] | None = None
        self.global_step: tf.Variable | None = None
        self.evaluation: dict[str, float | None] = {}
        self.evaluated_step = -1

    def say(self, text: str) -> None:
        """Prints one line."""
        print(text, file=self._console, flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since this call of the program began its run."""
        return time.monotonic() - self._start

    def begin(self, global_step: tf.Variable) -> None:
        """Notes the step that the run starts or resumes from."""
        self.global_step = global_step
        self._last = (int(global_step.numpy()), self.seconds)

    def on_train(self, output: Mapping[str, Any]) -> None:
        """Orbit calls this after every `steps_per_loop` steps."""
        step, seconds = int(self.global_step.numpy()), self.seconds
        row = {key: float(np.asarray(output[key])) for key in _LOSSES if key in output}
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
        self.evaluation = coco_metrics.named_metrics(output)
        self.evaluated_step = step
        row = {key: float(np.asarray(output[key])) for key in _LOSSES if key in output}
        self._metrics.append({"step": step, "split": "validation", "seconds": f"{seconds:.1f}"} | row | self.evaluation)
        self.say(f"step {step}  validation: {metrics_line(self.evaluation)}")
        if self._last is not None:
            self._last = (step, self.seconds)


def metrics_line(metrics: Mapping[str, float | None]) -> str:
    """`AP 0.412  AP50 0.733 ...`; n/a where the set has no such box."""
    shown = {name: "n/a" if value is None else f"{value:.3f}" for name, value in metrics.items()}
    return "  ".join(f"{coco_metrics.NAMES[name]} {value}" for name, value in shown.items())


@contextlib.contextmanager
def quiet_stdout() -> Iterator[TextIO]:
    """Silences orbit and pycocotools, which print to standard output; yields the real one."""
    console = sys.stdout
    with open(os.devnull, "w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink):
        yield console


def run(params: cfg.ExperimentConfig, model_dir: str, mode: str) -> tuple[dict, tf_keras.Model]:
    """Trains and evaluates, or evaluates the latest checkpoint; writes `result.json`.

    Args:
      params: checked config.
      model_dir: run directory, created here; an interrupted run in it resumes from its latest checkpoint.
      mode: "train_and_eval" or "eval".

    Returns:
      (result, the model).
    """
    training = mode == "train_and_eval"
    Path(model_dir).mkdir(parents=True, exist_ok=True)
    if training:
        run_directory.save_params(model_dir, params.as_dict())
    tf_keras.utils.set_random_seed(params.task.seed)
    with quiet_stdout() as console:
        reporter = Reporter(model_dir, params.trainer.train_steps, console)
        runner, task = _build_runner(params, model_dir, mode, reporter)
        start_step = int(runner.trainer.global_step.numpy())
        if start_step:
            reporter.say(f"from checkpoint at step {start_step}")
        reporter.begin(runner.trainer.global_step)
        _run_loop(runner)
        if reporter.evaluated_step != int(runner.trainer.global_step.numpy()):
            runner.controller.evaluate(steps=params.trainer.validation_steps)
        result = _result(params, runner, task, reporter)
    atomic_files.write_json(Path(model_dir) / "result.json", result)
    return result, runner.trainer.model


def _run_loop(runner: train_lib.OrbitExperimentRunner) -> None:
    try:
        runner.run()
    except RuntimeError as error:  # Model Garden's check after every loop of steps
        if "loss value" not in str(error):
            raise
        raise DetectionError(
            f"training diverged; lower trainer.optimizer_config.learning_rate. Received: {error}"
        ) from None


def _build_runner(params, model_dir: str, mode: str, reporter: Reporter) -> tuple:
    strategy = distribute_utils.get_distribution_strategy(
        distribution_strategy=params.runtime.distribution_strategy,
        num_gpus=params.runtime.num_gpus,
        all_reduce_alg=params.runtime.all_reduce_alg,
        num_packs=params.runtime.num_packs,
        tpu_address=params.runtime.tpu,
    )
    with strategy.scope():
        task = task_factory.get_task(params.task, logging_dir=model_dir)
    reporter.say(f"building RetinaNet on {params.task.model.backbone.dartsminus.saved_model} ...")
    runner = train_lib.OrbitExperimentRunner(
        distribution_strategy=strategy,
        task=task,
        mode=mode,
        params=params,
        model_dir=model_dir,
        train_actions=[reporter.on_train],
        eval_actions=[reporter.on_evaluation],
    )
    return runner, task


def _result(params, runner, task, reporter: Reporter) -> dict:
    predictions = task.coco_metric.last_predictions
    evaluated = len({int(p["image_id"]) for p in predictions})
    model = runner.trainer.model
    return reporter.evaluation | {
        "per_class": coco_metrics.per_class_ap(params.task.annotation_file, predictions),
        "images_evaluated": evaluated,
        "steps": int(runner.trainer.global_step.numpy()),
        "seconds": round(reporter.seconds, 1),
        "parameters": count_parameters(model),
        "backbone_parameters": count_parameters(model.backbone),
        "saved_model": params.task.model.backbone.dartsminus.saved_model,
        "checkpoint": os.path.basename(runner.checkpoint_manager.latest_checkpoint or ""),
        "seed": params.task.seed,
        "versions": run_directory.versions(),
    }


def count_parameters(model: tf_keras.Model) -> int:
    """Numbers in all variables of the model, each variable once, moving statistics included."""
    unique = {id(weight): weight for weight in model.weights}
    return sum(int(weight.shape.num_elements()) for weight in unique.values())
