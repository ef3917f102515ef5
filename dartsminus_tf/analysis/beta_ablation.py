"""`beta_ablation`: what the initial value of beta and its schedule are worth (section 4.4 of the paper)."""

from dartsminus_tf.analysis.compare import compare_section
from dartsminus_tf.analysis.grid import run_grid
from dartsminus_tf.analysis.modes import Request
from dartsminus_tf.analysis.report import Section

INITIAL = (1.0, 0.7, 0.4, 0.1, 0.0)
SCHEDULES = ("cosine", "slow_cosine", "constant")
VARIANTS = {
    **{f"linear_{value:g}": ["beta.schedule=linear", f"beta.initial={value}"] for value in INITIAL},
    **{f"{schedule}_1": [f"beta.schedule={schedule}", "beta.initial=1.0"] for schedule in SCHEDULES},
}


def analyse(request: Request) -> Section:
    """Search with every initial value under the linear schedule, and with the other schedules from 1."""
    overrides = [*request.overrides, "method=darts-"]
    histories = run_grid(request.config_files, overrides, VARIANTS, request.seeds, request.directory)
    return compare_section(histories, request.directory, "beta_ablation", "Initial value and schedule of beta")
