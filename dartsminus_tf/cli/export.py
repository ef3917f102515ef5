"""`dartsminus-export`: writes a finished training run's network as a SavedModel backbone."""

from absl import flags

from dartsminus_tf.cli.command import run_command
from dartsminus_tf.runtime import configure


def main() -> None:
    """Read the flags, export, and print the summary line."""
    values = flags.FLAGS
    configure()
    from dartsminus_tf.export.trained import export_trained

    print(export_trained(values.model_dir, values.export_dir))


def run() -> None:
    """Entry point."""
    flags.DEFINE_string("model_dir", "runs/train", "The run directory of a finished training.")
    flags.DEFINE_string("export_dir", None, "Where the SavedModel goes; by default `backbone` in the run directory.")
    run_command(main)
