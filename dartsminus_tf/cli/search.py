"""`dartsminus-search`: Searches an architecture by DARTS-."""

from collections.abc import Sequence

from absl import flags

from dartsminus_tf.cli.flags import configure_runtime, define_table_flag, parse_seeds, search_overrides
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.disk.tables import markdown
from dartsminus_tf.foundation.runs.command import define_run_flags, run_command


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_run_flags(values, "runs/search")
    define_table_flag(values)
    flags.DEFINE_list(
        "seeds",
        None,
        "Search once with each of these seeds, in seed_<n> of --model_dir, and compare the results.",
        flag_values=values,
    )


def main(values: flags.FlagValues) -> None:
    """Runs, and prints the summary line, or with --seeds the table."""
    config = load_config(SearchConfig, values.config_file, search_overrides(values))
    seeds = None if values.seeds is None else parse_seeds(values.seeds)
    configure_runtime(config.runtime)
    if seeds is not None:
        from dartsminus_tf.search.seeds import run_seeds

        print(markdown(run_seeds(config, values.model_dir, seeds)), end="")
        return
    from dartsminus_tf.search.runner import run_search, summary

    print(summary(run_search(config, values.model_dir)))


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(main, define_flags, argv)
