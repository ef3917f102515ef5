"""What the command lines of searches and trainings share beside `foundation.runs.command`."""

import json
from collections.abc import Sequence

from absl import flags

from dartsminus_tf.config import RuntimeConfig
from dartsminus_tf.foundation.config.paths import define_path
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.runtime import configure
from dartsminus_tf.spaces.families import FAMILIES


def run_overrides(values: flags.FlagValues) -> list[str]:
    """The overrides that --params_override and --quiet ask for."""
    return [*values.params_override, *["runtime.verbose=0"] * values.quiet]


def configure_runtime(config: RuntimeConfig) -> None:
    """Set TensorFlow up as `config` says; comes before any other use of it."""
    configure(
        deterministic=config.deterministic,
        inter_op_threads=config.inter_op_threads,
        intra_op_threads=config.intra_op_threads,
    )


def parse_seeds(texts: Sequence[str]) -> list[int]:
    """The seeds that `--seeds=0,1,2` names.

    Raises:
        UsageError: where they are not different integers in 0..2**31 - 1.
    """
    seeds = [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) <= 10]
    if not seeds or len(seeds) < len(texts) or len(set(seeds)) < len(seeds) or max(seeds) >= 2**31:
        raise UsageError(f"--seeds lists different integers from 0 on, such as 0,1,2. Received: {','.join(texts)!r}")
    return seeds


def define_table_flag(values: flags.FlagValues) -> None:
    """--accuracy_table, and the names that it had before."""
    text = "True accuracies of a space's cells, such as NAS-Bench-201's: follow the search with them."
    define_path("accuracy_table", None, text, values)
    for family in FAMILIES.values():
        if "accuracy_table" in family.aliases:
            flags.DEFINE_alias(family.aliases["accuracy_table"], "accuracy_table", flag_values=values)


def search_overrides(values: flags.FlagValues) -> list[str]:
    """The overrides that --params_override, --quiet and --accuracy_table ask for."""
    overrides = run_overrides(values)
    if values.accuracy_table is not None:
        overrides.append(f"runtime.accuracy_table={json.dumps(values.accuracy_table)}")
    return overrides
