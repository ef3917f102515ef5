"""Writes this folder's archives: runs, weights, SavedModels and data as the code of commit f778a12 writes them.

Run it from the root of a clone at commit f778a12, whose `tools/` and packages it uses:

    git worktree add ../old f778a12 && cd ../old && python <this checkout>/tests/legacy/make.py [archive ...]

Later code must go on with these files and give what is noted beside them, so they are written once; run it again only
for a new kind of artefact. Runs are stopped by SIGTERM, as users stop them. Where an array is long and its values do
not matter, it is made periodic, which compresses to almost nothing (`thin`); the old code then goes on from that.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from artefacts import (
    arrays,
    backbone_outputs,
    call,
    detections,
    detector_outputs,
    environment,
    network_outputs,
    npz_bytes,
    outcome,
    pack,
    tool,
    unequal,
    unpack,
)

ROOT = Path.cwd()
PERIOD = 31

RUNTIME = {"deterministic": True, "intra_op_threads": 1, "inter_op_threads": 1, "keep_checkpoints": 1}
DIGITS = {"image_size": 8, "batch_size": 8, "train_limit": 160, "test_limit": 32}
SEARCH = {
    "runtime": RUNTIME,
    "data": DIGITS | {"augment": {"crop_padding": 1, "flip": False}},
    "channels": 2,
    "layers": 3,
    "epochs": 3,
    "steps_per_epoch": 8,
    "validate_every": 2,  # no best state beside the newest where a run is stopped in its second epoch
    "weights": {"learning_rate": 0.1},
    "alpha": {"learning_rate": 0.01},
}
STAGES = [
    {"layers": 3, "epochs": 2, "num_candidates": 3, "skip_dropout": 0.5},
    {"layers": 3, "epochs": 2, "num_candidates": 2, "skip_dropout": 0.25},
]
PROGRESSIVE = {"space": "s3", "alpha_start_epoch": 1, "progressive": {"stages": STAGES, "skip_cap": 1}}
MOBILENET = {
    "space": "mobilenet",
    "layers": 6,
    "flops": {"target_mflops": 1.0},
    "data": SEARCH["data"] | {"image_size": 32},
}
TRAIN = {
    "runtime": RUNTIME,
    "data": DIGITS | {"image_size": 32, "batch_size": 16, "augment": {"cutout": 4}},
    "epochs": 3,
    "steps_per_epoch": 8,
    "drop_path": 0.2,
    "ema_decay": 0.9,
    "weights": {"learning_rate": 0.05},
}
CELL = {
    "normal": [["sep_conv_3x3", 0], ["skip_connect", 1], ["dil_conv_3x3", 2], ["max_pool_3x3", 0]]
    + [["sep_conv_5x5", 1], ["avg_pool_3x3", 3], ["dil_conv_5x5", 4], ["skip_connect", 0]],
    "normal_concat": [2, 3, 4, 5],
    "reduce": [["max_pool_3x3", 0], ["sep_conv_3x3", 1], ["skip_connect", 2], ["avg_pool_3x3", 0]]
    + [["dil_conv_3x3", 3], ["skip_connect", 1], ["sep_conv_5x5", 2], ["skip_connect", 4]],
    "reduce_concat": [2, 3, 4, 5],
}
EDGES = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
BLOCKS = "k3e3|k5e6|k7e3,skip|k3e6|k5e3|k3e3"
TRAINED = {
    "train_cell": {"genotype": CELL, "channels": 2, "layers": 3, "stem": "imagenet", "auxiliary_weight": 0.0},
    "train_auxiliary": {"genotype": CELL, "channels": 2, "layers": 3, "drop_path": 0.0},
    "train_nasbench201": {"genotype": EDGES, "channels": 2, "layers": 1, "auxiliary_weight": 0.0, "drop_path": 0.0},
    "train_mobilenet": {
        "genotype": BLOCKS,
        "stem": "imagenet",
        "auxiliary_weight": 0.0,
        "mobile": {"squeeze_excitation": True, "activation": "swish", "width_multiplier": 0.25},
    },
}
DETECT = {
    "task": {
        "annotation_file": "scenes/instances_val.json",
        "model": {
            "num_classes": 11,
            "input_size": [64, 64, 3],
            "max_level": 5,
            "anchor": {"num_scales": 1, "aspect_ratios": [1.0]},
            "backbone": {"dartsminus": {"saved_model": "backbone"}},
            "norm_activation": {"norm_momentum": 0.5},
            "decoder": {"fpn": {"num_filters": 4}},
            "head": {"num_convs": 1, "num_filters": 4},
            "detection_generator": {"pre_nms_score_threshold": 0.0, "max_num_detections": 10},
        },
        "train_data": {
            "input_path": "scenes/train*.tfrecord",
            "global_batch_size": 2,
            "shuffle_buffer_size": 1,
            "parser": {"aug_rand_hflip": False, "aug_scale_min": 1.0, "aug_scale_max": 1.0},
        },
        "validation_data": {"input_path": "scenes/val*.tfrecord", "global_batch_size": 2},
    },
    "trainer": {
        "train_steps": 16,
        "steps_per_loop": 4,
        "summary_interval": 4,
        "max_to_keep": 1,
        "validation_interval": 16,
        "checkpoint_interval": 16,
        "optimizer_config": {
            "ema": {"average_decay": 0.5},
            "learning_rate": {"type": "constant", "constant": {"learning_rate": 0.05}},
            "warmup": {"type": "linear", "linear": {"warmup_steps": 2}},
        },
    },
}
SCENES = ["prepare_coco", "--mode=digit_scenes", "--output_dir=scenes", "--canvas=64", "--num_train=4", "--num_val=2"]


def stop_after(folder: Path, arguments: list[str], sign: str, times: int, wait: float = 0.05) -> None:
    """Run a tool until a line that begins with `sign` has come `times` times, and stop it `wait` seconds later."""
    with subprocess.Popen(
        tool(ROOT, arguments), cwd=folder, env=environment(ROOT), stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            times -= line.startswith(sign)
            if line.startswith(sign) and times == 0:
                time.sleep(wait)
                process.send_signal(signal.SIGTERM)
    if process.returncode or not line.startswith("stopped at"):
        raise RuntimeError(f"not stopped, but {process.returncode}: {line}")
    print(f"  {line.strip()}", flush=True)


def periodic(values: np.ndarray) -> np.ndarray:
    """Its first numbers again and again."""
    return np.resize(values.ravel()[:PERIOD], values.shape) if values.size > PERIOD else values


def thin_state(path: Path) -> None:
    """Make a checkpoint periodic, under the name that its new content has."""
    values = {name: value if name == "position" else periodic(value) for name, value in arrays(path).items()}
    content = npz_bytes(values)
    stem = path.name.split(".")[0]
    path.unlink()
    path.with_name(f"{stem}.{hashlib.sha256(content).hexdigest()[:16]}.npz").write_bytes(content)


def thin_weights(path: Path) -> None:
    """Make every array of a weights file periodic, in place."""
    import h5py

    def thin(_, item) -> None:
        if isinstance(item, h5py.Dataset):
            item[...] = periodic(item[...])

    with h5py.File(path, "r+") as file:
        file.visititems(thin)


def keep(run: Path, place: Path) -> None:
    """Copy a run to `place` without what names this machine, and without the states of finished stages."""
    shutil.copytree(run, place, ignore=shutil.ignore_patterns("tensorboard", ".lock", "events.*"), dirs_exist_ok=True)
    for result in place.glob("stage_*/result.json"):
        shutil.rmtree(result.parent / "checkpoints")


def note(folder: Path, name: str, about: dict) -> None:
    """Write what a test is to find."""
    (folder / f"{name}.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


def stop_within_an_epoch(folder: Path, name: str, command: list[str], epochs: int) -> None:
    """Stop a run after `epochs` lines, and not between two epochs, where a signal that comes at once finds it."""
    for wait in (0.05, 0.1, 0.2, 0.4):
        stop_after(folder, command, "epoch ", epochs, wait)
        if any("_step_000000" not in path.name for path in (folder / name).rglob("epoch_0001_*.npz")):
            return
        shutil.rmtree(folder / name)
    raise RuntimeError(f"{name} always stopped between two epochs")


def interrupted(folder: Path, kind: str, name: str, settings: dict, epochs: int, thin: bool = False) -> None:
    """A search or a training stopped after `epochs` of its epochs, in `folder/kept`; it goes on in `folder`."""
    kept = folder / "kept"
    kept.mkdir()
    for place in (folder, kept):
        (place / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [kind, f"--config_file={name}.yaml", f"--model_dir={name}"]
    stop_within_an_epoch(folder, name, command, epochs)
    if thin:
        for state in (folder / name / "checkpoints").glob("epoch_*.npz"):
            thin_state(state)
    keep(folder / name, kept / name)
    call(ROOT, folder, command)
    final = outcome(folder / name)
    if not thin:
        call(ROOT, folder, [*command[:2], "--model_dir=whole"])
        if outcome(folder / "whole") != final:
            raise RuntimeError(f"{name}: an interruption changes what comes out")
    note(kept, name, {"command": command} | final)
    pack(name, kept, [name, f"{name}.yaml", f"{name}.json"])


def search_s0(folder: Path) -> None:
    """The space with most operations; its state is periodic."""
    interrupted(folder, "search", "search_s0", SEARCH | {"space": "s0"}, 1, thin=True)


def search_nasbench201(folder: Path) -> None:
    """One cell a stage."""
    settings = SEARCH | {"space": "nasbench201", "layers": 1}
    interrupted(folder, "search", "search_nasbench201", settings, 1)


def search_progressive(folder: Path) -> None:
    """P-DARTS, stopped in the second stage."""
    interrupted(folder, "search", "search_progressive", SEARCH | PROGRESSIVE, 3)


def search_mobilenet(folder: Path) -> None:
    """With the penalty on multiply-adds; its state is periodic."""
    interrupted(folder, "search", "search_mobilenet", SEARCH | MOBILENET, 1, thin=True)


def train_run(folder: Path) -> None:
    """A training with drop path and averaged weights; the best state lies beside the newest."""
    settings = TRAIN | {"genotype": CELL, "channels": 2, "layers": 3, "auxiliary_weight": 0.0}
    interrupted(folder, "train", "train_run", settings, 1)


def finished(folder: Path, name: str) -> None:
    """A finished training: what `export` reads of it, its weights periodic; and the outputs for one input."""
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(TRAIN | {"epochs": 1} | TRAINED[name]), encoding="utf-8")
    call(ROOT, folder, ["train", f"--config_file={name}.yaml", "--model_dir=run"])
    keep(folder / "run", folder / name)
    shutil.rmtree(folder / name / "checkpoints")
    thin_weights(folder / name / "model.weights.h5")
    values = network_outputs(folder / name)
    (folder / f"{name}.npz").write_bytes(npz_bytes(values))
    pack(name, folder, [name, f"{name}.npz"])


def backbone(folder: Path) -> None:
    """The SavedModel that `export` makes of `train_cell`, and what its endpoints give for one input."""
    unpack("train_cell", folder)
    call(ROOT, folder, ["export", "--model_dir=train_cell", "--export_dir=backbone"])
    values = backbone_outputs(folder / "backbone")
    (folder / "backbone.npz").write_bytes(npz_bytes(values))
    pack("backbone", folder, ["backbone", "backbone.npz"])


def scenes(folder: Path) -> None:
    """A handful of digit scenes."""
    line = call(ROOT, folder, SCENES)
    note(folder, "scenes", {"command": SCENES, "lines": line.splitlines()})
    pack("scenes", folder, ["scenes", "scenes.json"])


def detect(folder: Path) -> None:
    """A RetinaNet on `backbone` and `scenes`, stopped: its evaluation, and how it goes on; then its export."""
    for name in ("backbone", "scenes"):
        unpack(name, folder)
    (folder / "detect.yaml").write_text(yaml.safe_dump(DETECT), encoding="utf-8")
    command = ["detect", "--config_file=detect.yaml", "--model_dir=run"]
    stop_after(folder, command, "step 8/", 1)
    keep(folder / "run", folder / "detect")
    about = {}
    for run in ("first", "second"):
        keep(folder / "detect", folder / run)
        call(ROOT, folder, ["detect", f"--model_dir={run}", "--mode=eval"])
        evaluated = detections(folder / run)
        call(ROOT, folder, [*command[:2], f"--model_dir={run}"])
        before, about = about, {"eval": evaluated, "trained": detections(folder / run)}
    if unequal(before, about, 1e-4):
        raise RuntimeError(f"the same run goes on in two ways: {unequal(before, about, 1e-4)}")
    note(folder, "detect", {"command": [*command[:2], "--model_dir=detect"]} | about)
    pack("detect", folder, ["detect", "detect.yaml", "detect.json"])
    detector(folder, "first")


def detector(folder: Path, run: str) -> None:
    """The exported detector, and its detections in one image."""
    call(ROOT, folder, ["detect", f"--model_dir={run}", "--mode=export", "--export_dir=detector"])
    values = detector_outputs(folder / "detector" / "16")
    (folder / "detector.npz").write_bytes(npz_bytes(values))
    pack("detector", folder, ["detector", "detector.npz"])


MAKERS = {
    **{make.__name__: make for make in (search_s0, search_nasbench201, search_progressive, search_mobilenet)},
    "train_run": train_run,
    **{name: lambda folder, name=name: finished(folder, name) for name in TRAINED},
    **{make.__name__: make for make in (backbone, scenes, detect)},
}


def main(names: list[str]) -> None:
    """Make the archives that `names` lists; all of them by default, in the order in which they need one another."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.path.insert(0, str(ROOT))
    for name in names or MAKERS:
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            MAKERS[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
