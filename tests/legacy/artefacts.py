"""What writes and what checks the artefacts of old code have in common: archives, commands, what a run came to."""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent


def pack(name: str, folder: Path, members: list[str]) -> None:
    """Write `members` of `folder` to `<name>.tar.xz` here: without times and owners, so that only contents count."""

    def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(FOLDER / f"{name}.tar.xz", "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as archive:
        for member in members:
            archive.add(folder / member, member, filter=anonymous)


def unpack(name: str, folder: Path) -> Path:
    """Unpack an archive of this folder into `folder`, and return that."""
    with tarfile.open(FOLDER / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def recorded(folder: Path, name: str) -> dict:
    """What the old code gave, as `make.py` noted it beside the artefact."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file."""
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def tool(root: Path, arguments: list[str]) -> list[str]:
    """The command line of `tools/<arguments[0]>.py` in the checkout `root`."""
    name, *flags = arguments
    return [sys.executable, str(root / "tools" / f"{name}.py"), *flags]


def environment(root: Path) -> dict[str, str]:
    """The environment in which Python finds the packages of the checkout `root` first."""
    return os.environ | {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}


def call(root: Path, folder: Path, arguments: list[str]) -> str:
    """Run a tool of `root` in `folder`, where relative paths start; returns what it printed."""
    done = subprocess.run(
        tool(root, arguments), cwd=folder, env=environment(root), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table without times."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def last_state(run: Path) -> Path:
    """The newest checkpoint of a search or a training."""
    return max((run / "checkpoints").glob("epoch_*.npz"))


def sums(state: Path) -> list[float]:
    """The sum of magnitudes of every array of a checkpoint, in its order."""
    values = arrays(state)
    return [float(np.abs(values[str(number)], dtype=np.float64).sum()) for number in range(len(values) - 1)]


def npz_bytes(values: dict[str, np.ndarray]) -> bytes:
    """The content of an npz file."""
    content = io.BytesIO()
    np.savez(content, **values)
    return content.getvalue()


def outcome(run: Path) -> dict:
    """What a finished search or training came to: its result, its tables, and its last state in short."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    stages = sorted(path.parent for path in run.glob("stage_*/metrics.csv")) or [run]
    return {
        "result": _without_seconds(result),
        "metrics": [rows(stage / "metrics.csv") for stage in stages],
        "genotypes": [rows(path) for stage in stages for path in stage.glob("genotypes.csv")],
        "sums": sums(last_state(stages[-1])),
    }


def _without_seconds(tree):
    if isinstance(tree, dict):
        return {key: _without_seconds(value) for key, value in tree.items() if key != "seconds"}
    return [_without_seconds(item) for item in tree] if isinstance(tree, list) else tree


def unequal(expected, actual, tolerance: float, where: str = "") -> list[str]:
    """Where two trees of JSON differ; numbers, in text too, by more than `tolerance` times the larger of 1 and them."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        pairs = [(key, (value, actual.get(key))) for key, value in expected.items()]  # later code may add keys
        return [line for key, pair in pairs for line in unequal(*pair, tolerance, f"{where}/{key}")]
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [line for place, pair in pairs for line in unequal(*pair, tolerance, f"{where}/{place}")]
    with contextlib.suppress(TypeError, ValueError):
        if abs(float(expected) - float(actual)) <= tolerance * max(1.0, abs(float(expected))):
            return []
    return [] if expected == actual else [f"{where}: {expected!r} became {actual!r}"]


def detections(run: Path) -> dict:
    """What an evaluation of a detector says: the metrics, the rows of its training, the boxes."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return {
        "result": {key: result[key] for key in ("ap", "ap50", "steps", "parameters", "images_evaluated")},
        "metrics": rows(run / "metrics.csv"),
        "detections": json.loads((run / "detections.json").read_text(encoding="utf-8")),
    }


def pattern(*shape: int) -> np.ndarray:
    """Images in [-1, 1] that need no random numbers."""
    size = int(np.prod(shape))
    return np.sin(np.arange(size, dtype=np.float64) ** 1.5).reshape(shape).astype(np.float32)


def _sampled(outputs: dict) -> dict[str, np.ndarray]:
    """About a thousand numbers of every output, and its mean magnitude."""
    values = {name: np.asarray(value) for name, value in outputs.items()}
    means = {f"mean_{name}": np.abs(value).mean() for name, value in values.items()}
    return {name: value.ravel()[:: 1 + value.size // 1000] for name, value in values.items()} | means


def network_outputs(run: Path) -> dict[str, np.ndarray]:
    """What the network of a finished training gives for one input: logits, features, auxiliary logits."""
    import dartsminus_tf as dm

    config = json.loads((run / "result.json").read_text(encoding="utf-8"))["network"]
    model = dm.build_network(dm.Genotype.from_dict(config.pop("genotype")), **config)
    model.build((1, 32, 32, 3))
    model.load_weights(run / "model.weights.h5")
    x = pattern(2, 32, 32, 3) if model.auxiliary else pattern(2, 64, 64, 3)
    outputs = {"logits": model(x)} | model.features(x)
    if model.auxiliary:
        outputs["auxiliary"] = model(x, training=True)[1]
    return _sampled(outputs)


def backbone_outputs(saved_model: Path) -> dict[str, np.ndarray]:
    """What the endpoints of an exported backbone give for one input."""
    import tensorflow as tf

    x = tf.constant(pattern(2, 64, 64, 3))
    loaded = tf.saved_model.load(str(saved_model))
    outputs = {"classify": loaded.classify(x)} | {f"serve_{level}": y for level, y in loaded.serve(x).items()}
    outputs |= {f"train_{level}": y for level, y in loaded.train(x).items()}  # last: it moves the statistics
    return _sampled(outputs)


def detector_outputs(saved_model: Path) -> dict[str, np.ndarray]:
    """What an exported detector finds in one image."""
    import tensorflow as tf

    images = np.round((pattern(1, 80, 96, 3) + 1) * 127.5).astype(np.uint8)
    outputs = tf.saved_model.load(str(saved_model)).signatures["image_tensor"](images=tf.constant(images))
    return {name: value.numpy() for name, value in outputs.items()}
