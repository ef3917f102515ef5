"""Our step beside a plain PyTorch step: seconds a step, start-up, memory.

    python benchmarks/step_time.py --size=small            the search: C=8, L=4, batch 16
    python benchmarks/step_time.py --size=paper            the search: C=16, L=8, batch 64
    python benchmarks/step_time.py --size=paper_rematerialized   the same with `rematerialize: true` on our side
    python benchmarks/step_time.py --size=train_small      training of a derived network: C=16, L=8, batch 64
    python benchmarks/step_time.py --size=train_paper      training of a derived network: C=36, L=20, batch 96
    ... --json                                             one JSON line, last

Each side runs in a process of its own on all cores and waits while the other works; their steps alternate. Needs the
`[bench]` extra (torch).
"""

import argparse
import json
import statistics

from sides import Worker

PAPER = {"channels": 16, "layers": 8, "batch": 64}
# size: (what, settings of a side, counted steps)
SIZES = {
    "small": ("search", {"channels": 8, "layers": 4, "batch": 16}, 15),
    "paper": ("search", PAPER, 4),
    "paper_rematerialized": ("search", PAPER | {"rematerialize": True}, 4),
    "train_small": ("train", {"channels": 16, "layers": 8, "batch": 64}, 8),
    "train_paper": ("train", {"channels": 36, "layers": 20, "batch": 96}, 2),
}
ROWS = (
    ("step_seconds", "median step, s", 1),
    ("first_step_seconds", "first step done, s", 1),
    ("peak_rss_bytes", "peak memory, GB", 1e9),
)


def measure(size: str, steps: int | None = None) -> dict:
    """Alternate `steps` counted steps of both sides after one warm-up step each; {"ours": ..., "torch": ...}."""
    what, settings, usual_steps = SIZES[size]
    workers = {side: Worker(f"{side}_{what}", **settings) for side in ("ours", "torch")}
    seconds = {side: [] for side in workers}
    for number in range((steps or usual_steps) + 1):
        for side, worker in workers.items():
            taken = worker.step()
            if number:
                seconds[side].append(taken)
    return {
        side: {
            "step_seconds": statistics.median(seconds[side]),
            "first_step_seconds": worker.first_step_seconds,
            "peak_rss_bytes": worker.stop(),
        }
        for side, worker in workers.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--steps", type=int, default=None, help="counted steps of each side")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sides = measure(arguments.size, arguments.steps)
    ours, torch = sides["ours"], sides["torch"]
    print(f"{arguments.size:<24}{'ours':>12}{'PyTorch':>12}{'ratio':>9}")
    for name, label, unit in ROWS:
        a, b = ours[name] / unit, torch[name] / unit
        print(f"{label:<24}{a:>12.3f}{b:>12.3f}{b / a:>9.2f}")
    if arguments.json:
        result = {"size": arguments.size, "speedup": torch["step_seconds"] / ours["step_seconds"], **ours}
        result |= {f"torch_{name}": value for name, value in torch.items()}
        print(json.dumps(result))


if __name__ == "__main__":
    main()
