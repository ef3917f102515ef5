"""One detection run: Model Garden's task and orbit's loop, our progress lines, result.json at the end."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import orbit
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.core import train_lib

from dartsminus_tf.foundation.disk.lock import RunLock
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.content import require_same_content
from dartsminus_tf.foundation.runs.directory import RunDirectory, versions
from dartsminus_tf.foundation.runs.results import write_result
from dartsminus_tf.foundation.runs.signals import StopRequest
from detection.coco.annotations import Labels, write_where_missing
from detection.data.content import content_of
from detection.model.build import build_parts
from detection.run import checkpoints, interruption
from detection.run.directory import DETECTOR
from detection.run.reporter import Reporter


def train(
    run: RunDirectory,
    params: cfg.ExperimentConfig,
    labels: Labels,
    strategy: tf.distribute.Strategy,
    threshold: float,
    quiet: bool = False,
) -> dict:
    """Trains and evaluates; writes `result.json`, tables and pictures into the run's directory.

    Args:
      run: of `params`, not yet open; an interrupted run in it resumes from its latest checkpoint.
      params: checked config.
      labels: of the validation data.
      strategy: see `devices.make_strategy`.
      threshold: least score of a drawn box, in [0, 1].
      quiet: print nothing.

    Returns:
      The result.

    Raises:
      Stopped: after SIGINT or SIGTERM; the state is saved.
      UsageError: another process is at work in the directory, or the training diverged.
    """
    with run, StopRequest() as stop, quiet_stdout(quiet) as console:
        write_where_missing(labels, params.task.annotation_file)
        require_same_content(run.path, content_of(params))
        reporter = Reporter(params, run.path, labels, threshold, console)
        result = _run(params, str(run.path), strategy, reporter, stop, run.status.note)
        return run.write_result(result)


def evaluate(
    params: cfg.ExperimentConfig,
    model_dir: str,
    output_dir: str,
    labels: Labels,
    strategy: tf.distribute.Strategy,
    threshold: float,
    quiet: bool = False,
) -> dict:
    """Evaluates a run's latest checkpoint; the run's status stays what it is.

    Args:
      params: checked config.
      model_dir: the run directory, which is locked meanwhile.
      output_dir: where results go; `model_dir`, unless the data are other than the run's own.
      labels, strategy, threshold, quiet: see `train`.

    Returns:
      The result.

    Raises:
      Stopped, UsageError: see `train`.
    """
    with RunLock(Path(model_dir)), StopRequest() as stop, quiet_stdout(quiet) as console:
        write_where_missing(labels, params.task.annotation_file)
        reporter = Reporter(params, Path(output_dir), labels, threshold, console)
        result = _run(params, model_dir, strategy, reporter, stop)
        return write_result(Path(output_dir), result)


@contextlib.contextmanager
def quiet_stdout(quiet: bool) -> Iterator[TextIO]:
    """Silences orbit and pycocotools, which print to standard output; yields the real one, or none if `quiet`."""
    console = sys.stdout
    with open(os.devnull, "w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink):
        yield sink if quiet else console


def _run(
    params: cfg.ExperimentConfig,
    model_dir: str,
    strategy: tf.distribute.Strategy,
    reporter: Reporter,
    stop: StopRequest,
    note: Callable[[str], None] | None = None,
) -> dict:
    """A training, whose saved steps are noted, or without `note` an evaluation."""
    tf_keras.utils.set_random_seed(params.task.seed)
    if note is None:
        checkpoints.whole_checkpoint(model_dir)
    else:
        interruption.drop_broken_checkpoints(model_dir, reporter.say)
    runner = _build_runner(params, model_dir, strategy, reporter, training=note is not None)
    runner.trainer.stop = stop
    start_step = int(runner.trainer.global_step.numpy())
    if start_step:
        reporter.say(f"from checkpoint at step {start_step}")
    if note is not None:
        checkpoints.note_saves(runner.checkpoint_manager, start_step, note)
    reporter.begin(runner.trainer.global_step, runner.trainer.task)
    with runner.strategy.scope(), _divergence():  # Model Garden's EMA swaps weights in a scope alone
        if note is not None:
            train_and_evaluate(runner.controller, runner.trainer.global_step, params.trainer, reporter)
        if reporter.evaluated_step != int(runner.trainer.global_step.numpy()):
            runner.controller.evaluate(steps=params.trainer.validation_steps)
    reporter.write_report()
    return _result(params, runner, reporter)


def train_and_evaluate(
    controller: orbit.Controller, global_step: tf.Variable, trainer: cfg.TrainerConfig, reporter: Reporter
) -> None:
    """Orbit's training with evaluations in between. Loops and evaluations end at whole multiples of their lengths.

    Orbit counts them from where a run begins or resumes, and forgets an evaluation that an end of the process hit.
    """
    interval = trainer.validation_interval or trainer.train_steps
    step = int(global_step.numpy())
    if 0 < step < trainer.train_steps and step % interval == 0 and not reporter.has_validated(step):
        controller.evaluate(steps=trainer.validation_steps)
    while step < trainer.train_steps:
        ends = [length * (step // length + 1) for length in (trainer.steps_per_loop, interval)]
        controller.train(steps=min(*ends, trainer.train_steps), checkpoint_at_completion=False)
        step = int(global_step.numpy())
        if step % interval == 0 or step >= trainer.train_steps:
            controller.evaluate(steps=trainer.validation_steps)
    controller.save_checkpoint()


@contextlib.contextmanager
def _divergence() -> Iterator[None]:
    """Turns Model Garden's check after every loop of steps into one line."""
    try:
        yield
    except RuntimeError as error:
        if "loss value" not in str(error):
            raise
        raise UsageError(
            f"training diverged; lower trainer.optimizer_config.learning_rate. Received: {error}"
        ) from None


def _build_runner(
    params: cfg.ExperimentConfig, model_dir: str, strategy: tf.distribute.Strategy, reporter: Reporter, training: bool
) -> train_lib.OrbitExperimentRunner:
    reporter.say(f"building RetinaNet on {params.task.model.backbone.dartsminus.saved_model} ...")
    with strategy.scope():
        parts = build_parts(params, reporter.labels, model_dir)
        trainer = interruption.StoppableTrainer(
            params, parts.task, model=parts.model, optimizer=parts.optimizer, train=training, evaluate=True
        )
    runner = train_lib.OrbitExperimentRunner(
        distribution_strategy=strategy,
        task=parts.task,
        mode="train_and_eval" if training else "eval",
        params=params,
        model_dir=model_dir,
        train_actions=[reporter.on_train],
        eval_actions=[reporter.on_evaluation],
        save_summary=training,
        trainer=trainer,
    )
    if training:
        optimizer = runner.trainer.optimizer
        interruption.refuse_poison(
            runner.checkpoint_manager, lambda: [*runner.trainer.model.variables, *optimizer.variables()]
        )
        manager, step = runner.checkpoint_manager, runner.trainer.global_step
        runner.trainer.save = lambda: manager.save(int(step.numpy()), check_interval=False)
    return runner


def _result(params: cfg.ExperimentConfig, runner: train_lib.OrbitExperimentRunner, reporter: Reporter) -> dict:
    evaluation, model = reporter.evaluation, runner.trainer.model
    annotated = reporter.labels.num_images
    if evaluation.images != annotated:
        reporter.say(f"evaluated {evaluation.images} of {annotated} annotated images; the others were not in the data")
    return evaluation.metrics | {
        "per_class": evaluation.per_class,
        "images_evaluated": evaluation.images,
        "images_annotated": annotated,
        "annotation_file": params.task.annotation_file,
        "steps": int(runner.trainer.global_step.numpy()),
        "seconds": round(reporter.seconds, 1),
        "parameters": count_parameters(model),
        "backbone_parameters": count_parameters(model.backbone),
        "saved_model": params.task.model.backbone.dartsminus.saved_model,
        "checkpoint": os.path.basename(runner.checkpoint_manager.latest_checkpoint or ""),
        "seed": params.task.seed,
        "versions": versions(DETECTOR.packages),
    }


def count_parameters(model: tf_keras.Model) -> int:
    """Numbers in all variables of the model, each variable once, moving statistics included."""
    unique = {id(weight): weight for weight in model.weights}
    return sum(int(weight.shape.num_elements()) for weight in unique.values())
