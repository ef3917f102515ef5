"""The processes that work on one run together, as `TF_CONFIG` describes them."""

import json
import os
from typing import NamedTuple

from dartsminus_tf.foundation.errors import UsageError

VARIABLE = "TF_CONFIG"
TRAINING = ("chief", "worker")
OTHERS = ("evaluator", "ps", "master")  # of TensorFlow's other ways to distribute
_FORM = '{"cluster": {"chief": ["host:port"], "worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'


class Cluster(NamedTuple):
    """Who works, and who this process is.

    Attributes:
        addresses: {"chief": ["host:port"], "worker": [...]}; either may be absent.
        role: of this process, one of `TRAINING`.
        index: its place among those of its role.
    """

    addresses: dict[str, list[str]]
    role: str
    index: int

    @property
    def size(self) -> int:
        """The number of processes."""
        return sum(map(len, self.addresses.values()))


def is_first(roles, role: str, index: int) -> bool:
    """Whether that process writes the run's files: the chief, or the first worker where there is no chief.

    Args:
        roles: of the cluster.
        role, index: of the process.
    """
    return role == "chief" or ("chief" not in roles and role == "worker" and index == 0)


def read_cluster() -> Cluster | None:
    """The cluster of `TF_CONFIG`; None where the variable names none.

    Raises:
        UsageError: where it is malformed, or gives this process a role that has no work here.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        raise _malformed("JSON", text) from None
    if not isinstance(tree, dict):
        raise _malformed("a mapping", text)
    if not tree.get("cluster"):
        return None
    addresses = _addresses(tree["cluster"], text)
    role, index = _task(tree.get("task"), text)
    if role in OTHERS:
        raise UsageError(
            f"{VARIABLE} makes this process an {role}, for which there is no work: a run validates by itself and keeps "
            f"its variables in its workers. Start {' and '.join(TRAINING)} alone. Received: {text[:200]!r}"
        )
    if index >= len(addresses.get(role, [])):
        raise _malformed(f"a cluster with a {role} {index}", text)
    return Cluster(addresses, role, index)


def _addresses(cluster: object, text: str) -> dict[str, list[str]]:
    """Those of `TRAINING`."""
    if not isinstance(cluster, dict) or not set(cluster) <= {*TRAINING, *OTHERS}:
        raise _malformed(f"a cluster of {', '.join(TRAINING)}", text)
    found = {role: cluster[role] for role in TRAINING if cluster.get(role)}
    for places in found.values():
        if not isinstance(places, list) or not all(map(_is_address, places)):
            raise _malformed("lists of host:port", text)
    if len(found.get("chief", [])) > 1:
        raise _malformed("one chief at most", text)
    places = [place for each in found.values() for place in each]
    if len(set(places)) < len(places):
        raise _malformed("an address of its own for every process", text)
    return found


def _is_address(place: object) -> bool:
    if not isinstance(place, str):
        return False
    host, colon, port = place.rpartition(":")
    return bool(host and colon) and port.isascii() and port.isdecimal() and int(port) < 2**16


def _task(task: object, text: str) -> tuple[str, int]:
    role, index = (task.get("type"), task.get("index", 0)) if isinstance(task, dict) else (None, None)
    if isinstance(index, str) and index.isascii() and index.isdecimal() and len(index) < 7:
        index = int(index)  # some launchers write texts
    if role not in (*TRAINING, *OTHERS) or type(index) is not int or index < 0:
        raise _malformed("a task with a type and an index", text)
    return role, index


def _malformed(wanted: str, text: str) -> UsageError:
    return UsageError(f"{VARIABLE} must hold {wanted}: {_FORM}. Received: {text[:200]!r}")
