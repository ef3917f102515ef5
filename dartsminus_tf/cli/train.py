"""`dartsminus-train`: Trains a derived network."""

from collections.abc import Sequence

from absl import flags

from dartsminus_tf.cli.flags import configure_runtime, run_overrides
from dartsminus_tf.config import TrainConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.runs.command import define_run_flags, run_command


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_run_flags(values, "runs/train")


def main(values: flags.FlagValues) -> None:
    """Runs, and prints the summary line."""
    config = load_config(TrainConfig, values.config_file, run_overrides(values))
    configure_runtime(config.runtime)
    from dartsminus_tf.train.runner import run_training, summary

    print(summary(run_training(config, values.model_dir)))


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(main, define_flags, argv)
