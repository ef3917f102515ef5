"""`dartsminus-search`: Searches an architecture by DARTS-."""

from absl import flags

from dartsminus_tf.cli.command import define_run_flags, run_command
from dartsminus_tf.config import SearchConfig, load_config, split_overrides
from dartsminus_tf.runtime import configure


def main() -> None:
    """Read the flags, run, and print the summary line."""
    values = flags.FLAGS
    config = load_config(SearchConfig, values.config_file, split_overrides(values.params_override))
    runtime = config.runtime
    configure(
        deterministic=runtime.deterministic,
        inter_op_threads=runtime.inter_op_threads,
        intra_op_threads=runtime.intra_op_threads,
    )
    from dartsminus_tf.search.runner import run_search, summary

    print(summary(run_search(config, values.model_dir)))


def run() -> None:
    """Entry point."""
    define_run_flags("runs/search")
    run_command(main)
