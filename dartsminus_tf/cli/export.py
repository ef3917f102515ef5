"""`dartsminus-export`: Writes a trained network, or one with published weights, as a SavedModel backbone."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from dartsminus_tf.export.formats import read_formats
from dartsminus_tf.foundation.config.paths import define_path
from dartsminus_tf.foundation.disk.folders import require_place
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.command import run_command
from dartsminus_tf.foundation.runs.signals import all_or_nothing
from dartsminus_tf.pretrained.own.finished import finished_training
from dartsminus_tf.pretrained.published.table import require_preset
from dartsminus_tf.runtime import configure


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_path("model_dir", "runs/train", "The run directory of a finished training.", values)
    text = "Published weights instead of a training: a preset's name (see docs/pretrained.md), or their file."
    define_path("preset", None, text, values)
    define_path("weights_file", None, "The file of the preset's weights, if not in its own place.", values)
    text = "Pixels of the images that LiteRT and ONNX files of a preset take; the preset's own by default."
    flags.DEFINE_integer("image_size", None, text, lower_bound=1, flag_values=values)
    text = "Where the SavedModel goes; by default `backbone` in the run directory, or runs/<preset>."
    define_path("export_dir", None, text, values)
    text = "Further files beside the SavedModel: litert (or tflite), onnx."
    flags.DEFINE_list("formats", [], text, flag_values=values)


@all_or_nothing("the export")
def main(values: flags.FlagValues) -> None:
    """Checks everything that needs no TensorFlow first; exports, and prints the summary line."""
    _require_one_source(values)
    formats = read_formats(values.formats)
    if values.preset is None:
        finished_training(values.model_dir)
    else:
        require_preset(values.preset)
    own = Path("runs", Path(values.preset).stem) if values.preset else Path(values.model_dir) / "backbone"
    place = values.export_dir or own
    require_place(place, "--export_dir")
    configure()
    export = _export_run if values.preset is None else _export_preset
    network, about = export(values, place, formats)
    levels = ", ".join(f"{level}: {of['channels']}" for level, of in network.levels.items())
    files = "".join(f"; {name}" for name in formats)
    say(f"exported {place}: channels at levels {levels}{files}; {about}")


def _require_one_source(values: flags.FlagValues) -> None:
    if values.preset is not None and values["model_dir"].present:
        raise UsageError(f"--preset and --model_dir exclude each other. Received: {values.preset}, {values.model_dir}")
    for name in ("weights_file", "image_size"):
        if values.preset is None and values[name].present:
            raise UsageError(f"--{name} belongs to --preset. Received: no --preset")


def _export_run(values: flags.FlagValues, place: str | Path, formats: list[str]):
    """(network, what is known of it) of a finished training."""
    from dartsminus_tf.export.trained import export_training

    network, result = export_training(values.model_dir, place, formats)
    return network, f"test accuracy {result['test_accuracy']:.4f}"


def _export_preset(values: flags.FlagValues, place: str | Path, formats: list[str]):
    """(network, what is known of it) of published weights."""
    from dartsminus_tf.export.saved_model import export_backbone
    from dartsminus_tf.pretrained.published.load import from_preset

    network = from_preset(values.preset, file=values.weights_file, image_size=values.image_size)
    about = network.published or {"name": values.preset, "licence": "the weights are new, as a genotype has none"}
    export_backbone(network, place, formats=formats)
    return network, "{name}, licence {licence}".format(**about)


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(main, define_flags, argv)
