"""`detect`: train, evaluate and run RetinaNet on an exported backbone."""

import os
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from dartsminus_tf.foundation.command import define_run_flags, run_command
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.run import stored_settings
from dartsminus_tf.foundation.settings import layered, lookup, nested, read_settings
from detection.cli.environment import prepare_environment
from detection.model import manifest
from detection.run.directory import DETECTOR

_MODES = ("train_and_eval", "eval", "predict", "export")
_BACKBONE = "task.model.backbone"
_WHAT_A_CHECKPOINT_HOLDS = ("task.model.", "runtime.mixed_precision_dtype", "trainer.optimizer_config.ema")


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_run_flags(values, None)
    flags.DEFINE_enum("mode", "train_and_eval", _MODES, "What to do.", flag_values=values)
    flags.DEFINE_string(
        "input", None, "predict: an image or a folder instead of the validation set.", flag_values=values
    )
    flags.DEFINE_string(
        "export_dir", None, "export: where `<step>/` goes; `<model_dir>/export` by default.", flag_values=values
    )
    flags.DEFINE_integer("num_pictures", 16, "predict: images to draw.", flag_values=values)
    flags.DEFINE_float("score_threshold", 0.3, "Least score of a drawn box, in [0, 1].", flag_values=values)


def main(values: flags.FlagValues) -> None:
    """Checks everything that needs no TensorFlow first, so that a typo costs no half minute."""
    chosen, saved = _checked_settings(values)
    from detection.data import checks
    from detection.model import experiment
    from detection.run import devices

    params = experiment.build_experiment(chosen)
    training = values.mode == "train_and_eval"
    needs_data = values.mode != "export" and (values.mode != "predict" or values.input is None)
    checks.use_tfds_annotations(params, values.model_dir, write=False)
    if saved is not None:
        sections = () if training else _WHAT_A_CHECKPOINT_HOLDS
        compared = _comparable(params.as_dict(), saved, training)
        DETECTOR.require_same(saved, compared, Path(values.model_dir), sections)
    if needs_data:
        checks.check_data(params, training, values.model_dir)
    params.lock()
    if values.mode == "predict":
        _predict(params, values)
    elif values.mode == "export":
        _export(params, values)
    else:
        devices.check_devices(params)
        output_dir = values.model_dir if training else _evaluation_folder(params, saved, values.model_dir)
        _train_or_evaluate(params, values, output_dir)


def _evaluation_folder(params, saved: dict, model_dir: str) -> str:
    """The run's own folder for its own validation data; data of other annotations must not overwrite its results."""
    path = params.task.annotation_file
    if path == saved["task"]["annotation_file"]:
        return model_dir
    return os.path.join(model_dir, f"eval_{Path(path).stem}")


def _comparable(params: dict, saved: dict, training: bool) -> dict:
    """In eval and predict the detection generator (thresholds, NMS) may differ from the training run's."""
    if not training:
        params["task"]["model"]["detection_generator"] = saved["task"]["model"]["detection_generator"]
    return params


def _checked_settings(values: flags.FlagValues) -> tuple[dict, dict | None]:
    if not values.model_dir:
        raise UsageError("--model_dir is required. Received: nothing")
    if not 0 <= values.score_threshold <= 1:
        raise UsageError(f"--score_threshold must be in [0, 1]. Received: {values.score_threshold}")
    if values.input is not None and not os.path.exists(values.input):
        raise UsageError(f"--input must be an image or a folder of images. Received: {values.input!r}")
    saved = stored_settings(Path(values.model_dir), DETECTOR)
    if values.mode != "train_and_eval":
        if saved is None or not (Path(values.model_dir) / "checkpoint").is_file():
            raise UsageError(
                f"--model_dir has no trained run; use --mode=train_and_eval first. Received: {values.model_dir!r}"
            )
    elif not values.config_file:
        raise UsageError("--config_file is required, e.g. configs/detect_digit_scenes.yaml. Received: nothing")
    chosen = read_settings(values.config_file, values.params_override)
    key = f"{_BACKBONE}.dartsminus.freeze_batch_norm"
    if saved is not None and lookup(chosen, key) is None:  # the run's choice, whatever the devices are now
        frozen = lookup(saved, key)
        chosen = layered(chosen, nested(key.split("."), frozen))
    if not values.config_file:  # eval and predict go on with the run's own config
        chosen = layered(saved, chosen)
    if lookup(chosen, f"{_BACKBONE}.type") in (None, "dartsminus"):
        manifest.read_manifest(lookup(chosen, f"{_BACKBONE}.dartsminus.saved_model") or "")
    return chosen, saved


def _train_or_evaluate(params, values: flags.FlagValues, output_dir: str) -> None:
    from detection.coco import metrics as coco_metrics
    from detection.run import training

    result = training.run(params, values.model_dir, values.mode, output_dir, values.score_threshold, values.quiet)
    print(
        f"{values.mode}: {coco_metrics.metrics_line(result)}  ({result['images_evaluated']} images, "
        f"{result['steps']} steps, {result['parameters']:,} parameters, {result['seconds']:.0f} s) -> "
        f"{os.path.join(output_dir, 'result.json')}"
    )


def _predict(params, values: flags.FlagValues) -> None:
    from detection.run import prediction

    done = prediction.predict(params, values.model_dir, values.input, values.num_pictures, values.score_threshold)
    unreadable = f", {done.unreadable} unreadable files left out" if done.unreadable else ""
    rate = f", {done.images_per_second:.1f} images a second" if done.images_per_second else ""
    print(f"predict: {done.detections} detections in {done.images} images{unreadable}{rate} -> {done.folder}")


def _export(params, values: flags.FlagValues) -> None:
    from detection.run import prediction

    print(f"export: {prediction.export(params, values.model_dir, values.export_dir)}")


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    prepare_environment()
    return run_command(main, define_flags, argv)
