"""`dartsminus-search`: Searches an architecture by DARTS-."""

import json
from collections.abc import Sequence

from absl import flags

from dartsminus_tf.cli.command import configure_runtime, define_run_flags, run_command, run_overrides
from dartsminus_tf.config import SearchConfig, load_config
from dartsminus_tf.errors import UsageError


def parse_seeds(texts: Sequence[str]) -> list[int]:
    """The seeds that `--seeds=0,1,2` names.

    Raises:
        UsageError: where they are not different integers in 0..2**31 - 1.
    """
    seeds = [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) <= 10]
    if not seeds or len(seeds) < len(texts) or len(set(seeds)) < len(seeds) or max(seeds) >= 2**31:
        raise UsageError(f"--seeds lists different integers from 0 on, such as 0,1,2. Received: {','.join(texts)!r}")
    return seeds


def define_table_flag() -> None:
    """--nasbench201_table."""
    flags.DEFINE_string(
        "nasbench201_table",
        None,
        "True accuracies of NAS-Bench-201's cells (a CSV file or the public benchmark): follow the search with them.",
    )


def search_overrides(values) -> list[str]:
    """The overrides that --params_override and --nasbench201_table ask for."""
    overrides = run_overrides()
    if values.nasbench201_table is not None:
        overrides.append(f"runtime.nasbench201_table={json.dumps(values.nasbench201_table)}")
    return overrides


def main() -> None:
    """Read the flags, run, and print the summary line, or with --seeds the table."""
    values = flags.FLAGS
    config = load_config(SearchConfig, values.config_file, search_overrides(values))
    seeds = None if values.seeds is None else parse_seeds(values.seeds)
    configure_runtime(config.runtime)
    if seeds is not None:
        from dartsminus_tf.search.seeds import run_seeds
        from dartsminus_tf.tables import markdown

        print(markdown(run_seeds(config, values.model_dir, seeds)), end="")
        return
    from dartsminus_tf.search.runner import run_search, summary

    print(summary(run_search(config, values.model_dir)))


def run() -> None:
    """Entry point."""
    define_run_flags("runs/search")
    flags.DEFINE_list(
        "seeds", None, "Search once with each of these seeds, in seed_<n> of --model_dir, and compare the results."
    )
    define_table_flag()
    run_command(main)
