"""`dartsminus-slim`: From a trained network to one of a share of its cost, for the same data."""

from collections.abc import Sequence

from absl import flags

from dartsminus_tf.cli.flags import configure_runtime
from dartsminus_tf.foundation.config.paths import define_path
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.command import define_run_flags, run_command
from dartsminus_tf.studies.slim_settings import slim_settings


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_run_flags(values, "runs/slim")
    define_path("run_dir", "runs/train", "The finished training of the network.", values)


def main(values: flags.FlagValues) -> None:
    """Searches, trains, and prints the summary line."""
    quiet = ["search.runtime.verbose=0", "train.runtime.verbose=0"] * values.quiet
    overrides = [*values.params_override, *quiet]
    settings = slim_settings(values.run_dir, values.model_dir, values.config_file, overrides)
    configure_runtime(settings.train.runtime)
    from dartsminus_tf.studies.slim import run_slim

    say(run_slim(settings, values.run_dir, values.model_dir))


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(main, define_flags, argv)
