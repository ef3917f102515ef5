"""Two devices do what one does with the same global batch; a cluster whose worker dies goes on from its state."""

import csv
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import load_config
from tests.conftest import ROOT, TINY_SEARCH

SEARCH = [*TINY_SEARCH, "epochs=1", "steps_per_epoch=2", "sync_batch_norm=true", "space=s3"]
TRAIN = [
    *("data.image_size=16", "data.batch_size=8", "data.train_limit=64", "data.test_limit=32", "channels=4", "layers=3"),
    *(
        "auxiliary_weight=0",
        "drop_path=0",
        "epochs=1",
        "steps_per_epoch=2",
        "sync_batch_norm=true",
        "runtime.verbose=0",
    ),
]


def run_on_devices(devices: int, kind: str, overrides: list[str], path: str) -> None:
    from dartsminus_tf.runtime import configure

    configure()
    import tensorflow as tf

    logical = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    overrides = [*overrides, "runtime.distribute=mirrored"] if devices > 1 else overrides
    if kind == "search":
        from dartsminus_tf.search.runner import run_search

        run_search(load_config(SearchConfig, overrides=overrides), path)
    else:
        from dartsminus_tf.train.runner import run_training

        run_training(load_config(TrainConfig, overrides=overrides), path)


def losses(path):
    with open(path / "metrics.csv", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[-1]
    return {name: float(row[name]) for name in ("loss", "alpha_loss", "val_loss", "accuracy") if name in row}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "overrides"),
    [("search", SEARCH), ("search", [*SEARCH, "order=second"]), ("train", TRAIN)],
    ids=["search", "second order", "train"],
)
def test_two_devices_give_the_losses_of_one(kind, overrides, tmp_path):
    """Over two steps: later, a difference of one bit in a ReLU's zero or a pool's tie can turn a gradient."""
    context = multiprocessing.get_context("spawn")
    for devices in (1, 2):
        process = context.Process(target=run_on_devices, args=(devices, kind, overrides, str(tmp_path / str(devices))))
        process.start()
        process.join()
        assert process.exitcode == 0
    assert losses(tmp_path / "2") == pytest.approx(losses(tmp_path / "1"), rel=1e-5)


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_workers(path, roles):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    overrides = [
        *TRAIN,
        "epochs=12",
        "runtime.distribute=multi_worker",
        "runtime.save_minutes=0.01",
        "runtime.verbose=2",
    ]
    command = [sys.executable, str(ROOT / "tools" / "train.py"), f"--model_dir={path}"]
    command += [f"--params_override={override}" for override in overrides]
    workers = []
    members = {role: [a for a, other in zip(addresses, roles, strict=True) if other == role] for role in roles}
    for index, role in enumerate(roles):
        task = {"type": role, "index": index if roles[0] == role else 0}
        cluster = {"cluster": members, "task": task}
        environment = os.environ | {"TF_CONFIG": json.dumps(cluster), "PYTHONPATH": str(ROOT)}
        with open(path.parent / f"worker_{index}.log", "a", encoding="utf-8") as log:
            workers.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
    return workers


@pytest.mark.slow
@pytest.mark.parametrize("roles", [("worker", "worker"), ("chief", "worker")], ids=" and ".join)
def test_a_cluster_that_loses_a_worker_goes_on_from_its_state(roles, tmp_path):
    path = tmp_path / "run"
    workers = start_workers(path, roles)
    try:
        end = time.monotonic() + 300
        while not list((path / "checkpoints").glob("epoch_000[2-9]*.npz")) and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(workers[1].pid, signal.SIGKILL)
        assert workers[0].wait(timeout=120) == 2
        assert "another worker is gone" in (tmp_path / "worker_0.log").read_text()
        states = sorted(path.name for path in (path / "checkpoints").glob("epoch_*.npz"))
        assert states and not (path / "result.json").exists()
        workers = start_workers(path, roles)
        assert [worker.wait(timeout=400) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    with open(path / "metrics.csv", encoding="utf-8") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(12))
    assert json.loads((path / "result.json").read_text())["epochs"] == 12
