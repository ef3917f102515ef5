"""Measure everything and write the tables of README.md and growth.png.

    python benchmarks/report.py --data_dir=DIR [--only=search,train,input,growth]

DIR holds a prepared TensorFlow Datasets `cifar10`. Results are kept in `results.json`: a part that is measured again
replaces the old one. Needs the `[bench]` extra and, for the paper's sizes, 20 GB of memory.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import growth
from step_time import ROWS, SIZES, measure

HERE = Path(__file__).resolve().parent
START, END = "<!-- results -->", "<!-- end of results -->"
RATIO = {"step_seconds": "faster", "first_step_seconds": "faster", "peak_rss_bytes": "less"}


def measure_sizes(what: str) -> dict:
    return {size: measure(size) for size, (kind, *_) in SIZES.items() if kind == what}


def measure_input(data_dir: str) -> dict:
    """In processes of their own: TensorFlow keeps its threads and memory until the end."""
    command = [sys.executable, str(HERE / "input_wait.py"), f"--data_dir={data_dir}"]
    lines = [
        subprocess.run([*command, f"--size={size}"], check=True, capture_output=True, text=True).stdout
        for size in ("small", "paper")
    ]
    return {"small": json.loads(lines[0]), "paper": json.loads(lines[1])}


def measure_growth() -> dict:
    curves = growth.measure()
    growth.plot(curves, HERE / "growth.png")
    return curves


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    names = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return names[0].split(":")[1].strip() if names else platform.processor()


def conditions() -> dict:
    return {
        "machine": f"{os.cpu_count()} cores of an {processor()}",
        "versions": {name: version(name) for name in ("tensorflow", "keras", "torch")}
        | {"python": platform.python_version()},
        "load_before": round(os.getloadavg()[0], 2),
    }


def tables(results: dict) -> str:
    """The results as Markdown."""
    lines = []
    for title, part in (("Search step", "search"), ("Training step of a derived network", "train")):
        lines += [f"### {title}", "", condition_line(results, part), ""]
        lines += ["| size | | ours | PyTorch | ratio |", "|---|---|---|---|---|"]
        for size, sides in results.get(part, {}).get("values", {}).items():
            settings = ", ".join(f"{key} {value}" for key, value in SIZES[size][1].items())
            for name, label, unit in ROWS:
                ours, torch = sides["ours"][name] / unit, sides["torch"][name] / unit
                lines.append(f"| {settings} | {label} | {ours:.3f} | {torch:.3f} | {torch / ours:.2f} {RATIO[name]} |")
        lines.append("")
    lines += ["### Waiting for input, CIFAR-10", "", condition_line(results, "input"), ""]
    lines += ["| size | step with its batch, s | waiting, s | share of all time |", "|---|---|---|---|"]
    for size, row in results.get("input", {}).get("values", {}).items():
        lines.append(f"| {size} | {row['step_seconds']:.3f} | {row['wait_seconds']:.4f} | {100 * row['share']:.2f} % |")
    lines += ["", "### Growth of the search step", "", condition_line(results, "growth"), ""]
    lines += ["| | median seconds a step |", "|---|---|"]
    for axis, points in results.get("growth", {}).get("values", {}).items():
        lines.append(f"| {growth.LABELS[axis]} | {', '.join(f'{x}: {y:.3f}' for x, y in points)} |")
    return "\n".join([*lines, "", "![Growth](growth.png)"])


def condition_line(results: dict, part: str) -> str:
    found = results.get(part, {}).get("conditions")
    if not found:
        return "Not measured."
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"{found['machine']}; {versions}; load average before the start {found['load_before']}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--only", default="search,train,input,growth")
    arguments = parser.parse_args()
    parts = {
        "search": lambda: measure_sizes("search"),
        "train": lambda: measure_sizes("train"),
        "input": lambda: measure_input(arguments.data_dir),
        "growth": measure_growth,
    }
    store, readme = HERE / "results.json", HERE / "README.md"
    results = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    for part in arguments.only.split(","):
        before = conditions()
        results[part] = {"conditions": before, "values": parts[part]()}
        store.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        text = readme.read_text(encoding="utf-8")
        head, tail = text.split(START)[0], text.split(END)[1]
        readme.write_text(f"{head}{START}\n{tables(results)}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
