"""`dartsminus-analyze`: The paper's analyses of searches, as tables, figures and one report."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from dartsminus_tf.analysis import modes
from dartsminus_tf.cli.flags import configure_runtime, define_table_flag, parse_seeds, search_overrides
from dartsminus_tf.foundation.config.paths import define_paths
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.command import define_run_flags, run_command
from dartsminus_tf.report.request import Request


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_run_flags(values, "runs/analysis")
    define_table_flag(values)
    flags.DEFINE_enum("mode", "alpha", list(modes.MODES), modes.describe(), flag_values=values)
    define_paths(
        "run_dir", "The run directory of a search, or a directory that holds several; may be repeated.", values
    )
    flags.DEFINE_list("seeds", ["0"], "Seeds of the searches that an analysis runs.", flag_values=values)


def main(values: flags.FlagValues) -> None:
    """Runs one analysis, and prints where the report is."""
    overrides, seeds = search_overrides(values), parse_seeds(values.seeds)
    settings = modes.settings_of(values.mode, values.config_file, overrides)
    configure_runtime(settings.runtime)
    request = Request(
        list(values.run_dir), Path(values.model_dir), settings, list(values.config_file), overrides, seeds
    )
    say(modes.run(values.mode, request))


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(main, define_flags, argv)
