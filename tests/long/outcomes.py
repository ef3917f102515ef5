"""What a command came to, as plain data that two runs of it must share: numbers by their bits, times left out."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np

_TIMES = ("seconds", "start", "end", "created", "latency", "versions", "source_run", "digests")


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table without times."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name not in _TIMES} for row in csv.DictReader(file)]


def mapping(path: Path) -> object:
    """A JSON file without times."""
    return _timeless(json.loads(path.read_text(encoding="utf-8")))


def _timeless(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _timeless(value) for key, value in tree.items() if key not in _TIMES}
    return [_timeless(entry) for entry in tree] if isinstance(tree, list) else tree


def digest(content: bytes) -> str:
    """The beginning of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def _newest_state(run: Path) -> dict[str, str]:
    """Every variable of the model, its optimizers and metrics."""
    with np.load(max((run / "checkpoints").glob("epoch_*.npz")), allow_pickle=False) as arrays:
        return {name: digest(arrays[name].tobytes()) for name in arrays.files if name != "position"}


def of_search(run: Path) -> dict:
    """Result, tables, alpha of every epoch and the last state."""
    with_alpha = {path.name: path for path in sorted((run / "alphas").glob("epoch_*.npz"))}
    alphas = {name: _arrays(path) for name, path in with_alpha.items()}
    found = {"result": mapping(run / "result.json"), "genotype": mapping(run / "genotype.json"), "alphas": alphas}
    return found | {
        "tables": [rows(run / f"{name}.csv") for name in ("metrics", "genotypes")],
        "state": _newest_state(run),
    }


def _arrays(path: Path) -> dict[str, str]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: digest(arrays[name].tobytes()) for name in arrays.files}


def of_training(run: Path) -> dict:
    """Result, table and the last state; the weights' own file holds times, and is compared by what it exports to."""
    return {
        "result": mapping(run / "result.json"),
        "table": rows(run / "metrics.csv"),
        "state": _newest_state(run),
        "has weights": (run / "model.weights.h5").is_file(),
    }


def of_export(folder: Path) -> dict:
    """The variables bit for bit, and what the manifest says beside digests and times."""
    manifest = mapping(folder / "manifest.json")
    kept = {name: manifest.get(name) for name in ("genotype", "levels", "metrics", "preprocessing", "class_names")}
    return {"variables": _variables(folder / "variables" / "variables"), "manifest": kept}


def _variables(checkpoint: Path) -> list[str]:
    """Every variable; they are listed, and their objects described, in another order each time."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(checkpoint))
    names = set(reader.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return sorted(digest(reader.get_tensor(name).tobytes()) for name in names)


def of_preparation(folder: Path) -> dict:
    """Every file, but for what says how the work went."""
    files = {path.name: path for path in folder.iterdir() if path.is_file()}
    kept = {name: path for name, path in files.items() if not name.startswith((".", "status_"))}
    return {
        name: mapping(path) if name.startswith("stats_") else digest(path.read_bytes()) for name, path in kept.items()
    }


def of_detector(run: Path) -> dict:
    """Steps and validations, each once; numbers depend on the order of the data, which starts anew after a kill."""
    result = mapping(run / "result.json")
    table = [(row["step"], row["split"]) for row in rows(run / "metrics.csv")]
    return {name: result[name] for name in ("steps", "parameters", "images_evaluated", "checkpoint")} | {"table": table}


def of_evaluation(run: Path) -> dict:
    """The metrics to three decimals."""
    result = mapping(run / "result.json")
    return {name: None if result[name] is None else round(result[name], 3) for name in ("ap", "ap50", "ap75", "steps")}


def of_comparison(folder: Path) -> dict:
    """The table of an analysis of searches."""
    return {
        "rows": [{key: value for key, value in row.items() if key != "state"} for row in rows(folder / "compare.csv")]
    }


def of_quickstart(folder: Path) -> dict:
    """What the whole chain came to; the detector's numbers depend on the order of its data."""
    summary = mapping(folder / "summary.json")
    return {name: value for name, value in summary.items() if not name.startswith("ap")} | of_detector(
        folder / "detect"
    )
