"""Searches of several variants with several seeds, one run directory each; what is finished is left alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dartsminus_tf.analysis.history import SearchHistory
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.typed import load_config
from dartsminus_tf.search.seeds import run_seeds


def run_grid(
    files: Sequence[str],
    overrides: Sequence[str],
    variants: Mapping[str, Sequence[str]],
    seeds: Sequence[int],
    directory: Path,
) -> list[SearchHistory]:
    """Run every variant with every seed, in `directory/<variant>/seed_<n>`.

    Args:
        files, overrides: the config that all searches share.
        variants: {name: overrides of its own}.
        seeds: different integers from 0 on.

    Returns:
        the searches, variant by variant.

    Raises:
        UsageError: where a config cannot be; no search has run then.
    """
    if not variants or not seeds:
        raise UsageError("At least one variant and one seed are needed. Received: none")
    configs = {name: load_config(SearchConfig, files, [*overrides, *own]) for name, own in variants.items()}
    for name, config in configs.items():
        print(f"{name}:", flush=True)
        run_seeds(config, directory / name, seeds)
    return [
        SearchHistory(directory / name / f"seed_{seed}", f"{name}/seed_{seed}") for name in configs for seed in seeds
    ]
