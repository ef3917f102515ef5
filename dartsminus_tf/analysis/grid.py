"""Searches of several variants with several seeds, one run directory each; what is finished is left alone.

`methods` is the experiment that the method stands on, DARTS against DARTS- under the same config, seed by seed;
`beta_ablation` what the initial value of beta and its schedule are worth (section 4.4 of the paper).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dartsminus_tf.analysis.compare import compare_section
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.search.history import SearchHistory
from dartsminus_tf.search.seeds import run_seeds

METHODS = {"darts": ["method=darts"], "darts-": ["method=darts-"]}
INITIAL = (1.0, 0.7, 0.4, 0.1, 0.0)
SCHEDULES = ("cosine", "slow_cosine", "constant")
BETAS = {
    **{f"linear_{value:g}": ["beta.schedule=linear", f"beta.initial={value}"] for value in INITIAL},
    **{f"{schedule}_1": [f"beta.schedule={schedule}", "beta.initial=1.0"] for schedule in SCHEDULES},
}


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


def methods(request: Request) -> Section:
    """Search with both methods and every seed (what is finished stays), and compare."""
    histories = run_grid(request.config_files, request.overrides, METHODS, request.seeds, request.directory)
    return compare_section(histories, request.directory, "methods", "DARTS against DARTS-")


def beta_ablation(request: Request) -> Section:
    """Search with every initial value under the linear schedule, and with the other schedules from 1."""
    overrides = [*request.overrides, "method=darts-"]
    histories = run_grid(request.config_files, overrides, BETAS, request.seeds, request.directory)
    return compare_section(histories, request.directory, "beta_ablation", "Initial value and schedule of beta")
