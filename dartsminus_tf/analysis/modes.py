"""The analyses by name, and the one way to run one. Imports no TensorFlow until an analysis runs."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path

from dartsminus_tf.errors import UsageError


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

    @property
    def directory(self) -> Path:
        """`model_dir` as a path."""
        return Path(self.model_dir)


# name: (module of this package, what it shows)
MODES = {
    "alpha": ("trajectories", "softmax(alpha) of every edge over epochs, with beta, skips and entropy"),
    "cell": ("drawing", "the derived cell, drawn"),
    "hessian": ("spectrum", "eigenvalues of d2 L_val / d alpha2 at every checkpoint"),
    "landscape": ("landscape", "validation accuracy and loss over two random directions in alpha"),
    "skip_advantage": ("skip_advantage", "a ResNet whose skips carry learnable coefficients"),
    "methods": ("methods", "DARTS against DARTS- under one config, several seeds"),
    "beta_ablation": ("beta_ablation", "initial values and schedules of beta, several seeds"),
    "compare": ("compare", "any set of searches as one table and one figure"),
}


def describe() -> str:
    """All modes on one line each, for `--help`."""
    return "; ".join(f"{name}: {text}" for name, (_, text) in MODES.items())


def run(request: Request) -> str:
    """Run one analysis and bring the report up to date; returns the line that the command ends with.

    Raises:
        UsageError: on an unknown mode, or whatever the analysis cannot use.
    """
    if request.mode not in MODES:
        raise UsageError(f"mode must be one of {', '.join(MODES)}. Received: {request.mode!r}")
    module = importlib.import_module(f"dartsminus_tf.analysis.{MODES[request.mode][0]}")
    section = module.analyse(request)
    report = section.write(request.directory)
    return f"{request.mode} finished: {report}"
