"""`dartsminus-export`: Writes a finished training run's network as a SavedModel backbone."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from dartsminus_tf.export.formats import read_formats
from dartsminus_tf.foundation.config.paths import define_path
from dartsminus_tf.foundation.disk.folders import require_place
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.command import run_command
from dartsminus_tf.foundation.runs.signals import all_or_nothing
from dartsminus_tf.pretrained.finished import finished_training
from dartsminus_tf.runtime import configure


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_path("model_dir", "runs/train", "The run directory of a finished training.", values)
    define_path("export_dir", None, "Where the SavedModel goes; by default `backbone` in the run directory.", values)
    text = "Further files beside the SavedModel: litert (or tflite), onnx."
    flags.DEFINE_list("formats", [], text, flag_values=values)


@all_or_nothing("the export")
def main(values: flags.FlagValues) -> None:
    """Checks everything that needs no TensorFlow first; exports, and prints the summary line."""
    finished_training(values.model_dir)
    formats = read_formats(values.formats)
    place = values.export_dir or Path(values.model_dir) / "backbone"
    require_place(place, "--export_dir")
    configure()
    from dartsminus_tf.export.saved_model import export_backbone
    from dartsminus_tf.pretrained.trained import load_trained

    network, result = load_trained(values.model_dir)
    path = export_backbone(
        network,
        place,
        preprocessing=result["preprocessing"],
        metrics={name: result[name] for name in ("test_accuracy", "test_top5_accuracy", "test_loss")},
        class_names=result["class_names"],
        source_run=values.model_dir,
        data=result["data"],
        recipe=(Path(values.model_dir) / "config.yaml").read_text(encoding="utf-8"),
        formats=formats,
        space=result.get("space"),
    )
    levels = ", ".join(f"{level}: {about['channels']}" for level, about in network.levels.items())
    files = "".join(f"; {name}" for name in formats)
    say(f"exported {path}: channels at levels {levels}{files}; test accuracy {result['test_accuracy']:.4f}")


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(main, define_flags, argv)
