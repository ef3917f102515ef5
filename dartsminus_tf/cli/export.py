"""`dartsminus-export`: writes a finished training run's network as a SavedModel backbone."""

from pathlib import Path

from absl import flags

from dartsminus_tf.cli.command import run_command
from dartsminus_tf.runtime import configure


def main() -> None:
    """Read the flags, export, and print the summary line."""
    values = flags.FLAGS
    configure()
    from dartsminus_tf.export.saved_model import export_backbone
    from dartsminus_tf.train.runner import load_trained

    network, result = load_trained(values.model_dir)
    path = export_backbone(
        network,
        values.export_dir or Path(values.model_dir) / "backbone",
        preprocessing=result["preprocessing"],
        metrics={name: result[name] for name in ("test_accuracy", "test_top5_accuracy", "test_loss")},
        class_names=result["class_names"],
        source_run=values.model_dir,
        data=result["data"],
        recipe=(Path(values.model_dir) / "config.yaml").read_text(encoding="utf-8"),
        formats=values.formats,
    )
    levels = ", ".join(f"{level}: {about['channels']}" for level, about in network.levels.items())
    files = "".join(f"; {name}" for name in values.formats)
    print(f"exported {path}: channels at levels {levels}{files}; test accuracy {result['test_accuracy']:.4f}")


def run() -> None:
    """Entry point."""
    flags.DEFINE_string("model_dir", "runs/train", "The run directory of a finished training.")
    flags.DEFINE_string("export_dir", None, "Where the SavedModel goes; by default `backbone` in the run directory.")
    flags.DEFINE_list("formats", [], "Further files beside the SavedModel: litert, onnx.")
    run_command(main)
