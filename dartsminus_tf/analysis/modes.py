"""The analyses by name, and the one way to run one. Imports no TensorFlow until an analysis runs."""

from collections.abc import Sequence
from typing import NamedTuple

from dartsminus_tf.analysis.settings import HessianSettings, LandscapeSettings, SkipAdvantageSettings
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.entries import load_entry
from dartsminus_tf.foundation.config.typed import Strict, load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunKind
from dartsminus_tf.foundation.runs.status import StatusFile
from dartsminus_tf.report.page import read_sections
from dartsminus_tf.report.request import AnalysisSettings, Request
from dartsminus_tf.studies.settings import TransferSettings


class Mode(NamedTuple):
    """One analysis.

    Attributes:
        entry: "module:function", (Request) -> Section.
        settings: what --config_file and --params_override set.
        shows: what it is for.
        reads_runs: whether it is about searches that are there.
    """

    entry: str
    settings: type[Strict]
    shows: str
    reads_runs: bool = True


MODES = {
    "alpha": Mode(
        "dartsminus_tf.analysis.trajectories:analyse",
        AnalysisSettings,
        "softmax(alpha) of every edge over epochs, with beta, skips and entropy",
    ),
    "cell": Mode("dartsminus_tf.analysis.drawing:analyse", AnalysisSettings, "the derived cell, drawn"),
    "hessian": Mode(
        "dartsminus_tf.analysis.spectrum:analyse",
        HessianSettings,
        "eigenvalues of d2 L_val / d alpha2 at every checkpoint",
    ),
    "landscape": Mode(
        "dartsminus_tf.analysis.landscape:analyse",
        LandscapeSettings,
        "validation accuracy and loss over two random directions in alpha",
    ),
    "skip_advantage": Mode(
        "dartsminus_tf.analysis.skip_advantage:analyse",
        SkipAdvantageSettings,
        "a ResNet whose skips carry learnable coefficients",
        reads_runs=False,
    ),
    "methods": Mode(
        "dartsminus_tf.analysis.grid:methods",
        SearchConfig,
        "DARTS against DARTS- under one config, several seeds",
        reads_runs=False,
    ),
    "beta_ablation": Mode(
        "dartsminus_tf.analysis.grid:beta_ablation",
        SearchConfig,
        "initial values and schedules of beta, several seeds",
        reads_runs=False,
    ),
    "transfer": Mode(
        "dartsminus_tf.studies.transfer:analyse",
        TransferSettings,
        "networks searched from published weights beside the whole one, random ones and what each part is worth",
        reads_runs=False,
    ),
    "compare": Mode(
        "dartsminus_tf.analysis.compare:analyse", AnalysisSettings, "any set of searches as one table and one figure"
    ),
}


def describe() -> str:
    """All modes on one line each, for `--help`."""
    return "; ".join(f"{name}: {mode.shows}" for name, mode in MODES.items())


def settings_of(mode: str, config_files: Sequence[str], overrides: Sequence[str]) -> Strict:
    """The settings of `mode`, checked.

    Raises:
        UsageError: on an unknown mode, and on files and overrides that its settings do not take.
    """
    if mode not in MODES:
        raise UsageError(f"mode must be one of {', '.join(MODES)}. Received: {mode!r}")
    return load_config(MODES[mode].settings, config_files, overrides)


def run(mode: str, request: Request) -> str:
    """Run one analysis and bring the report up to date; returns the line that the command ends with.

    Raises:
        UsageError: on whatever the analysis cannot use.
    """
    from dartsminus_tf.search.history import find_histories

    analyse = load_entry(MODES[mode].entry)
    if MODES[mode].reads_runs:
        find_histories(request.run_dirs)  # what cannot be is refused before anything is written
    read_sections(request.directory)
    inside_a_run = (request.directory / RunKind.file).exists()
    with StatusFile(request.directory, part=mode if inside_a_run else "", work=mode):
        section = analyse(request)
        report = section.write(request.directory)
    return f"{mode} finished: {report}"
