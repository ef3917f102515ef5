"""`dartsminus-train`: Trains a derived network."""

from absl import flags

from dartsminus_tf.cli.command import configure_runtime, define_run_flags, run_command, run_overrides
from dartsminus_tf.config import TrainConfig, load_config


def main() -> None:
    """Read the flags, run, and print the summary line."""
    values = flags.FLAGS
    config = load_config(TrainConfig, values.config_file, run_overrides())
    configure_runtime(config.runtime)
    from dartsminus_tf.train.runner import run_training, summary

    print(summary(run_training(config, values.model_dir)))


def run() -> None:
    """Entry point."""
    define_run_flags("runs/train")
    run_command(main)
