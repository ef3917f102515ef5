"""`dartsminus-train`: Trains a derived network."""

from absl import flags

from dartsminus_tf.cli.command import define_run_flags, run_command, run_overrides
from dartsminus_tf.config import TrainConfig, load_config
from dartsminus_tf.runtime import configure


def main() -> None:
    """Read the flags, run, and print the summary line."""
    values = flags.FLAGS
    config = load_config(TrainConfig, values.config_file, run_overrides())
    runtime = config.runtime
    configure(
        deterministic=runtime.deterministic,
        inter_op_threads=runtime.inter_op_threads,
        intra_op_threads=runtime.intra_op_threads,
    )
    from dartsminus_tf.train.runner import run_training, summary

    print(summary(run_training(config, values.model_dir)))


def run() -> None:
    """Entry point."""
    define_run_flags("runs/train")
    run_command(main)
