"""`methods`: the experiment that the method stands on, DARTS against DARTS- under the same config, seed by seed."""

from dartsminus_tf.analysis.compare import compare_section
from dartsminus_tf.analysis.grid import run_grid
from dartsminus_tf.analysis.modes import Request
from dartsminus_tf.analysis.report import Section

VARIANTS = {"darts": ["method=darts"], "darts-": ["method=darts-"]}


def analyse(request: Request) -> Section:
    """Search with both methods and every seed (what is finished stays), and compare."""
    histories = run_grid(request.config_files, request.overrides, VARIANTS, request.seeds, request.directory)
    return compare_section(histories, request.directory, "methods", "DARTS against DARTS-")
