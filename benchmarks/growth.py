"""How the cost of our search step grows with width, depth, batch and number of candidates, three points each.

    python benchmarks/growth.py [--plot=growth.png]

Around C=8, L=4, batch 16 in space S0 (8 candidates); S3 has 3 and S2 has 2. Prints one JSON line a point.
"""

import argparse
import json
import statistics
from pathlib import Path

from sides import Worker

BASE = {"space": "s0", "channels": 8, "layers": 4, "batch": 16}
AXES = {
    "channels": [4, 8, 16],
    "layers": [4, 6, 8],
    "batch": [16, 32, 64],
    "space": ["s2", "s3", "s0"],
}
LABELS = {"channels": "channels C", "layers": "cells L", "batch": "batch", "space": "candidates an edge"}
CANDIDATES = {"s2": 2, "s3": 3, "s0": 8}
STEPS = 9


def measure() -> dict[str, list[tuple[int, float]]]:
    """{axis: [(value, median seconds a step), ...]}."""
    base = point(BASE)
    result = {}
    for axis, values in AXES.items():
        pairs = [(value, base if value == BASE[axis] else point(BASE | {axis: value})) for value in values]
        result[axis] = [(CANDIDATES.get(value, value), seconds) for value, seconds in pairs]
    return result


def point(settings: dict) -> float:
    """Median seconds of a step."""
    worker = Worker("ours_search", **settings)
    worker.step()
    seconds = statistics.median(worker.step() for _ in range(STEPS))
    worker.stop()
    print(json.dumps(settings | {"step_seconds": seconds}), flush=True)
    return seconds


def plot(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """A panel an axis: the measured points, and the line through the base point if cost were proportional."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(curves), figsize=(12, 3), sharey=True, layout="constrained")
    for panel, (axis, points) in zip(panels, curves.items(), strict=True):
        values, seconds = zip(*points, strict=True)
        base = CANDIDATES.get(BASE[axis], BASE[axis])
        through = dict(points)[base]
        panel.plot([0, max(values)], [0, through * max(values) / base], "--", color="0.6", label="proportional")
        panel.plot(values, seconds, "o-", label="measured")
        panel.set(xlabel=LABELS[axis], xticks=values, xlim=(0, None))
    panels[0].set_ylim(0, 1.05 * max(seconds for points in curves.values() for _, seconds in points))
    panels[0].set_ylabel("seconds a search step")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_name("growth.png"))
    plot(measure(), parser.parse_args().plot)


if __name__ == "__main__":
    main()
