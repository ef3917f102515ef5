"""The analyses by name, and the one way to run one. Imports no TensorFlow until an analysis runs."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dartsminus_tf.analysis.settings import (
    AnalysisSettings,
    HessianSettings,
    LandscapeSettings,
    SkipAdvantageSettings,
)
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.run import RunKind
from dartsminus_tf.foundation.status import StatusFile
from dartsminus_tf.foundation.typed import Strict, load_config


class Mode(NamedTuple):
    """One analysis.

    Attributes:
        module: of this package.
        settings: what --config_file and --params_override set.
        shows: what it is for.
        reads_runs: whether it is about searches that are there.
    """

    module: str
    settings: type[Strict]
    shows: str
    reads_runs: bool = True


MODES = {
    "alpha": Mode(
        "trajectories", AnalysisSettings, "softmax(alpha) of every edge over epochs, with beta, skips and entropy"
    ),
    "cell": Mode("drawing", AnalysisSettings, "the derived cell, drawn"),
    "hessian": Mode("spectrum", HessianSettings, "eigenvalues of d2 L_val / d alpha2 at every checkpoint"),
    "landscape": Mode(
        "landscape", LandscapeSettings, "validation accuracy and loss over two random directions in alpha"
    ),
    "skip_advantage": Mode(
        "skip_advantage", SkipAdvantageSettings, "a ResNet whose skips carry learnable coefficients", reads_runs=False
    ),
    "methods": Mode("methods", SearchConfig, "DARTS against DARTS- under one config, several seeds", reads_runs=False),
    "beta_ablation": Mode(
        "beta_ablation", SearchConfig, "initial values and schedules of beta, several seeds", reads_runs=False
    ),
    "compare": Mode("compare", AnalysisSettings, "any set of searches as one table and one figure"),
}


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Args:
        mode: one of MODES.
        run_dirs: run directories of searches, or directories that hold several.
        model_dir: where figures, tables and the report go, and the runs that the analysis makes.
        config_files, overrides, seeds: of the runs that the analysis makes.
    """

    mode: str
    run_dirs: list[str] = field(default_factory=list)
    model_dir: str = "runs/analysis"
    config_files: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self):
        if self.mode not in MODES:
            raise UsageError(f"mode must be one of {', '.join(MODES)}. Received: {self.mode!r}")

    @property
    def settings(self):
        """The mode's settings, checked."""
        return load_config(MODES[self.mode].settings, self.config_files, self.overrides)

    @property
    def directory(self) -> Path:
        """`model_dir` as a path."""
        return Path(self.model_dir)


def describe() -> str:
    """All modes on one line each, for `--help`."""
    return "; ".join(f"{name}: {mode.shows}" for name, mode in MODES.items())


def run(request: Request) -> str:
    """Run one analysis and bring the report up to date; returns the line that the command ends with.

    Raises:
        UsageError: on whatever the analysis cannot use.
    """
    from dartsminus_tf.analysis.history import find_histories

    module = importlib.import_module(f"dartsminus_tf.analysis.{MODES[request.mode].module}")
    if MODES[request.mode].reads_runs:
        find_histories(request.run_dirs)  # what cannot be is refused before anything is written
    inside_a_run = (request.directory / RunKind.file).exists()
    with StatusFile(request.directory, part=request.mode if inside_a_run else ""):
        section = module.analyse(request)
        report = section.write(request.directory)
    return f"{request.mode} finished: {report}"
