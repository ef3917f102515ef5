"""`detect`: train, evaluate and run RetinaNet on an exported backbone."""

import contextlib
import os
from collections.abc import Sequence

from absl import flags

from dartsminus_tf.foundation.config.paths import define_path, require_no_pattern
from dartsminus_tf.foundation.disk.folders import require_folder
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.command import EXIT_DONE, EXIT_INPUTS_LEFT_OUT, define_run_flags, run_command
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.foundation.runs.signals import all_or_nothing
from detection.cli.environment import prepare_environment
from detection.coco.annotations import Labels
from detection.run import directory

_MODES = ("train_and_eval", "eval", "predict", "export")


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_run_flags(values, None)
    flags.DEFINE_enum("mode", "train_and_eval", _MODES, "What to do.", flag_values=values)
    define_path("input", None, "predict: an image or a folder instead of the validation set.", values)
    define_path("export_dir", None, "export: where `<step>/` goes; `<model_dir>/export` by default.", values)
    flags.DEFINE_integer("num_pictures", 16, "predict: images to draw.", flag_values=values)
    flags.DEFINE_float("score_threshold", 0.3, "Least score of a drawn box, in [0, 1].", flag_values=values)


def main(values: flags.FlagValues) -> int:
    """Checks everything that needs no TensorFlow first, so that a typo costs no half minute.

    Returns:
      The exit code.
    """
    whole = {"predict": "the prediction", "export": "the export"}  # without a state to go on from
    with all_or_nothing(whole[values.mode]) if values.mode in whole else contextlib.nullcontext():
        return _dispatch(values)


def _dispatch(values: flags.FlagValues) -> int:
    _check_flags(values)
    training = values.mode == "train_and_eval"
    chosen, saved = directory.chosen_settings(values.model_dir, values.config_file, values.params_override, training)
    _check_place(values)
    from detection.model import experiment

    params = experiment.build_experiment(chosen, values.model_dir)
    if training:
        return _train(params, values)
    directory.require_checkpoint_of(params.as_dict(), saved, values.model_dir)
    if values.mode == "eval":
        return _evaluate(params, values, saved)
    return _predict(params, values) if values.mode == "predict" else _export(params, values)


def _check_flags(values: flags.FlagValues) -> None:
    if not values.model_dir:
        raise UsageError("--model_dir is required. Received: nothing")
    require_no_pattern("--model_dir", values.model_dir)
    if not 0 <= values.score_threshold <= 1:
        raise UsageError(f"--score_threshold must be in [0, 1]. Received: {values.score_threshold}")
    if values.input is not None and not os.path.exists(values.input):
        raise UsageError(f"--input must be an image or a folder of images. Received: {values.input!r}")


def _check_place(values: flags.FlagValues) -> None:
    """Where a call writes that does not train; for a training the run directory itself says it."""
    if values.mode == "export":
        directory.export_folder(values.model_dir, values.export_dir)
    elif values.mode != "train_and_eval":
        require_folder(os.path.join(values.model_dir, "predictions" if values.mode == "predict" else ""), "--model_dir")


def _train(params, values: flags.FlagValues) -> int:
    from detection.data import checks
    from detection.run import devices, training

    run = RunDirectory(values.model_dir, params.as_dict(), directory.DETECTOR)
    labels = checks.check_data(params, True, values.model_dir)
    strategy = devices.make_strategy(params)
    params.lock()
    result = training.train(run, params, labels, strategy, values.score_threshold, values.quiet)
    return _print_result(result, values, values.model_dir)


def _evaluate(params, values: flags.FlagValues, saved: dict) -> int:
    from detection.data import checks
    from detection.run import devices, training

    labels = checks.check_data(params, False, values.model_dir)
    strategy = devices.make_strategy(params)
    params.lock()
    output_dir = directory.evaluation_folder(params.task.annotation_file, saved, values.model_dir)
    result = training.evaluate(
        params, values.model_dir, output_dir, labels, strategy, values.score_threshold, values.quiet
    )
    return _print_result(result, values, output_dir)


def _print_result(result: dict, values: flags.FlagValues, output_dir: str) -> int:
    from detection.coco.metrics import metrics_line

    say(
        f"{values.mode}: {metrics_line(result)}  ({result['images_evaluated']} images, "
        f"{result['steps']} steps, {result['parameters']:,} parameters, {result['seconds']:.0f} s) -> "
        f"{os.path.join(output_dir, 'result.json')}"
    )
    return EXIT_DONE


def _predict(params, values: flags.FlagValues) -> int:
    from detection.data import checks
    from detection.run import prediction

    own_data = values.input is None
    labels = checks.check_data(params, False, values.model_dir) if own_data else _labels(params)
    params.lock()
    done = prediction.predict(
        params, values.model_dir, labels, values.input, values.num_pictures, values.score_threshold
    )
    unreadable = f", {done.unreadable} unreadable files left out (named in unreadable.json)" if done.unreadable else ""
    rate = f", {done.images_per_second:.1f} images a second" if done.images_per_second else ""
    say(f"predict: {done.detections} detections in {done.images} images{unreadable}{rate} -> {done.folder}")
    return EXIT_INPUTS_LEFT_OUT if done.unreadable else EXIT_DONE


def _export(params, values: flags.FlagValues) -> int:
    from detection.run import serving

    params.lock()
    folder = directory.export_folder(values.model_dir, values.export_dir)
    serving.export(params, values.model_dir, _labels(params), folder)
    say(f"export: {folder}")
    return EXIT_DONE


def _labels(params) -> Labels:
    """What the run calls its categories; nothing where it has no annotations."""
    from detection.data import checks

    return checks.prepared_labels(params.task.annotation_file) if params.task.annotation_file else Labels()


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    prepare_environment()
    return run_command(main, define_flags, argv)
