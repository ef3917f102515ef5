"""`TF_CONFIG`: who works on a run and who writes its files, with and without a chief; anything else on one line."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs import cluster
from dartsminus_tf.foundation.runs.cluster import Cluster, read_cluster
from dartsminus_tf.loop import distribution
from tests.conftest import ROOT

WORKERS = {"worker": ["a:1", "b:2"]}
CHIEF = {"chief": ["c:3"], **WORKERS}
MANY = {**CHIEF, "ps": ["p:1"], "evaluator": ["e:1"]}


@pytest.fixture
def config(monkeypatch):
    def set_to(members, role="worker", index=0):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": members, "task": {"type": role, "index": index}}))

    return set_to


@pytest.mark.parametrize(
    ("members", "role", "index", "writes"),
    [
        (WORKERS, "worker", 0, True),
        (WORKERS, "worker", 1, False),
        (CHIEF, "chief", 0, True),
        (CHIEF, "worker", 0, False),
        (CHIEF, "worker", 1, False),
        (MANY, "chief", 0, True),
        (MANY, "worker", 0, False),
        ({"chief": ["c:3"]}, "chief", 0, True),
        ({"worker": ["a:1"], "evaluator": ["e:1"]}, "worker", 0, True),
        (WORKERS, "worker", "1", False),  # as some launchers write it
    ],
)
def test_one_process_writes(members, role, index, writes, config):
    config(members, role, index)
    own = {name: members[name] for name in ("chief", "worker") if name in members}
    assert read_cluster() == Cluster(own, role, int(index))
    resolver = distribution._cluster_resolver()
    assert (resolver.task_type, resolver.task_id, resolver.rpc_layer) == (role, int(index), "grpc")
    assert resolver.cluster_spec() == tf.train.ClusterSpec(own)
    assert distribution.is_chief(SimpleNamespace(cluster_resolver=resolver)) is writes


def test_a_process_alone_writes(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert read_cluster() is None and distribution.is_chief(tf.distribute.get_strategy())


@pytest.mark.parametrize("text", ["", " ", "{}", '{"cluster": {}}', '{"cluster": null, "task": null}'])
def test_no_cluster(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    assert read_cluster() is None
    with pytest.raises(UsageError, match="runtime.distribute=multi_worker needs TF_CONFIG"):
        distribution.strategy_of("multi_worker")


TASK = {"type": "worker", "index": 0}


@pytest.mark.parametrize("role", ["evaluator", "ps", "master"])
def test_a_process_without_work_does_not_wait(role, config):
    config({**MANY, role: ["x:1"]}, role)
    with pytest.raises(UsageError, match=f"makes this process an {role}, for which there is no work"):
        distribution.strategy_of("multi_worker")


@pytest.mark.parametrize(
    "tree",
    [
        "{",
        "[" * 100_000,
        "[]",
        "7",
        {"cluster": ["a:1"], "task": TASK},
        {"cluster": {"worker": "a:1"}, "task": TASK},
        {"cluster": {"worker": {"0": "a:1"}}, "task": TASK},
        {"cluster": {"worker": [1]}, "task": TASK},
        {"cluster": {"worker": ["a"]}, "task": TASK},
        {"cluster": {"worker": ["a:b"]}, "task": TASK},
        {"cluster": {"worker": ["a:99999"]}, "task": TASK},
        {"cluster": {"worker": ["a:1", "a:1"]}, "task": TASK},
        {"cluster": {"worker": ["a:1"], "chief": ["a:1"]}, "task": TASK},
        {"cluster": {"worker": ["a:1"], "chief": ["b:1", "c:1"]}, "task": TASK},
        {"cluster": {"workers": ["a:1"]}, "task": TASK},
        {"cluster": WORKERS},
        {"cluster": WORKERS, "task": []},
        {"cluster": WORKERS, "task": {"type": "worker", "index": 2}},
        {"cluster": WORKERS, "task": {"type": "worker", "index": -1}},
        {"cluster": WORKERS, "task": {"type": "worker", "index": True}},
        {"cluster": WORKERS, "task": {"type": "worker", "index": "x"}},
        {"cluster": WORKERS, "task": {"type": "worker", "index": 0.0}},
        {"cluster": WORKERS, "task": {"type": "chief", "index": 0}},
        {"cluster": WORKERS, "task": {"type": ["worker"], "index": 0}},
        {"cluster": WORKERS, "task": {"index": 0}},
    ],
    ids=lambda tree: str(tree)[:60],
)
def test_what_is_malformed_is_said_on_one_line(tree, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tree if isinstance(tree, str) else json.dumps(tree))
    with pytest.raises(UsageError, match=r'^TF_CONFIG must hold .*: \{"cluster".*Received: ') as refused:
        distribution.strategy_of("multi_worker")
    assert "\n" not in str(refused.value)


def test_a_chief_alone_is_a_cluster(config):
    """Of one process, which TensorFlow starts."""
    code = (
        "from dartsminus_tf.loop.distribution import is_chief, strategy_of; strategy = strategy_of('multi_worker'); "
        "print(strategy.num_replicas_in_sync, is_chief(strategy))"
    )
    from tests.test_distribution import free_ports

    config({"chief": [f"127.0.0.1:{free_ports(1)[0]}"], "evaluator": ["127.0.0.1:1"]}, "chief")
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout == "1 True\n", ended.stderr


def test_the_line_shows_a_form_that_is_right(monkeypatch):
    form = cluster._FORM.replace(", ...", "").replace("host:port", "a:1", 1).replace("host:port", "b:1")
    monkeypatch.setenv("TF_CONFIG", form)
    assert read_cluster() == Cluster({"chief": ["a:1"], "worker": ["b:1"]}, "worker", 0)
