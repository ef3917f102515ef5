"""What an analysis or a study is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from dartsminus_tf.config import RuntimeConfig
from dartsminus_tf.foundation.config.typed import Strict


class AnalysisSettings(Strict):
    """What all analyses have: how the process runs."""

    runtime: RuntimeConfig = RuntimeConfig()


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Args:
        run_dirs: run directories of searches, or directories that hold several.
        directory: where figures, tables and the report go, and the runs that the analysis makes.
        settings: the analysis' own, checked.
        config_files, overrides, seeds: of the runs that the analysis makes.
    """

    run_dirs: list[str]
    directory: Path
    settings: Strict
    config_files: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])
