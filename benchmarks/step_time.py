"""The search step of dartsminus_tf beside a plain PyTorch supernet: seconds a step, start-up, memory.

    python benchmarks/step_time.py --size=small            C=8, L=4, batch 16
    python benchmarks/step_time.py --size=paper            C=16, L=8, batch 64
    ... --json                                             one JSON line, last

Each side runs in a process of its own on all cores and waits while the other works; steps alternate, so that a change
in the machine's speed meets both. Needs the `[bench]` extra (torch).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIZES = {"small": (8, 4, 16), "paper": (16, 8, 64)}
HERE = Path(__file__).resolve().parent


class Worker:
    """One side in its own process; `step()` runs one search step there and returns its seconds."""

    def __init__(self, side: str, size: str):
        start = time.perf_counter()
        command = [sys.executable, str(HERE / "step_worker.py"), side, *map(str, SIZES[size])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()
        self.first_step_seconds = time.perf_counter() - start

    def step(self) -> float:
        return self._ask("step")["seconds"]

    def stop(self) -> int:
        """End the process; returns its peak resident memory in bytes."""
        peak = self._ask("stop")["peak_rss_bytes"]
        self.process.wait()
        return peak

    def _ask(self, word: str) -> dict:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a benchmark process ended with code {self.process.wait()}")
        return json.loads(line)


def measure(size: str, steps: int) -> dict:
    """Alternate `steps` steps of both sides after one warm-up step each."""
    workers = {side: Worker(side, size) for side in ("ours", "torch")}
    seconds = {side: [] for side in workers}
    for number in range(steps + 1):
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
    parser.add_argument("--steps", type=int, default=None, help="counted steps of each side (small: 15, paper: 4)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sides = measure(arguments.size, arguments.steps or {"small": 15, "paper": 4}[arguments.size])
    ours, torch = sides["ours"], sides["torch"]
    print(f"{arguments.size:<24}{'ours':>12}{'PyTorch':>12}{'ratio':>9}")
    for name, label, unit in (
        ("step_seconds", "median step, s", 1),
        ("first_step_seconds", "first step done, s", 1),
        ("peak_rss_bytes", "peak memory, GB", 1e9),
    ):
        a, b = ours[name] / unit, torch[name] / unit
        print(f"{label:<24}{a:>12.3f}{b:>12.3f}{b / a:>9.2f}")
    if arguments.json:
        result = {"size": arguments.size, "speedup": torch["step_seconds"] / ours["step_seconds"], **ours}
        result |= {f"torch_{name}": value for name, value in torch.items()}
        print(json.dumps(result))


if __name__ == "__main__":
    main()
