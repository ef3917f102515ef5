"""How long one image takes on this machine's processor."""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WARM_UP, RUNS = 5, 30


def median_milliseconds(run: Callable[[np.ndarray], object], images: np.ndarray, runs: int = RUNS) -> float:
    """The median time of `run(images)` over `runs` calls, after a few that are not timed."""
    for _ in range(WARM_UP):
        run(images)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run(images)
        times.append(time.perf_counter() - start)
    return round(1e3 * statistics.median(times), 3)


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
