"""`dartsminus-analyze`: The paper's analyses of searches, as tables, figures and one report."""

from absl import flags

from dartsminus_tf.analysis import modes
from dartsminus_tf.cli.command import configure_runtime, define_run_flags, run_command
from dartsminus_tf.cli.search import define_table_flag, parse_seeds, search_overrides


def main() -> None:
    """Read the flags, run one analysis, and print where the report is."""
    values = flags.FLAGS
    request = modes.Request(
        mode=values.mode,
        run_dirs=list(values.run_dir),
        model_dir=values.model_dir,
        config_files=list(values.config_file),
        overrides=search_overrides(values),
        seeds=parse_seeds(values.seeds),
    )
    configure_runtime(request.settings.runtime)
    print(modes.run(request))


def run() -> None:
    """Entry point."""
    define_run_flags("runs/analysis")
    flags.DEFINE_enum("mode", "alpha", list(modes.MODES), modes.describe())
    flags.DEFINE_multi_string(
        "run_dir", [], "The run directory of a search, or a directory that holds several; may be repeated."
    )
    flags.DEFINE_list("seeds", ["0"], "Seeds of the searches that an analysis runs.")
    define_table_flag()
    run_command(main)
