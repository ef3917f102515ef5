"""The weights of a finished training: damaged ones, and those of another, are refused in one line."""

import shutil

import h5py
import keras
import numpy as np
import pytest

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT
from dartsminus_tf.pretrained.own.finished import finished_training
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS, write_weights
from tests.finished_run import flip, refused, without_digests
from tests.legacy.artefacts import unpack


def changed(path, change) -> None:
    """Change the values of the first array of a file of weights."""

    def of(name, item):
        if isinstance(item, h5py.Dataset) and item.size > 1:
            values = item[...]
            change(values.reshape(-1))
            item[...] = values
            return name
        return None

    with h5py.File(path, "r+") as file:
        file.visititems(of)


def linked(path, link) -> None:
    """Put a link in the place of the first array."""
    names = []
    with h5py.File(path, "r+") as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        file.copy(names[0], "copy")
        shape = file[names[0]].shape
        del file[names[0]]
        link(file, names[0], shape)


def external_data(file, name, shape):
    file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file, name, shape):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource("/elsewhere.h5", "data", shape)
    file.create_virtual_dataset(name, layout)


def bomb(file, name, shape):
    file.create_dataset(name, (10**7, 10**4), "f4", compression="gzip", chunks=(1000, 1000))


def replaced(content: bytes):
    return lambda path: path.write_bytes(content)


def folder(path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "empty": (replaced(b""), "no whole HDF5 file"),
    "text": (replaced(b"weights"), "no whole HDF5 file"),
    "npz": (replaced(b"PK\x03\x04" + bytes(100)), "no whole HDF5 file"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "no whole HDF5 file"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "no whole HDF5 file"),
    "folder": (folder, "no regular file"),
    "gone": (lambda path: path.unlink(), "no regular file"),
    "soft": (lambda path: linked(path, lambda f, n, _: f.__setitem__(n, h5py.SoftLink("/copy"))), "is a SoftLink"),
    "outside": (
        lambda path: linked(path, lambda f, n, _: f.__setitem__(n, h5py.ExternalLink("other.h5", "/copy"))),
        "is a ExternalLink",
    ),
    "data outside": (lambda path: linked(path, external_data), "does not lie in the file itself"),
    "virtual": (lambda path: linked(path, virtual), "does not lie in the file itself"),
    "bomb": (lambda path: linked(path, bomb), "does not lie in the file itself"),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("digests", [True, False])
def test_damaged_weights_are_refused(run, capsys, name, digests):
    damage, reason = DAMAGE[name]
    damage(run / WEIGHTS)
    if not digests:
        without_digests(run)
    elif name not in ("folder", "gone"):
        reason = "does not belong to the result.json beside it"
    line = refused(capsys, run)
    assert reason in line and line.endswith(f"Received: {run / WEIGHTS}\n")
    assert "delete result.json and give the command of the training again" in line


@pytest.mark.parametrize("seed", range(25))
def test_a_flipped_bit_of_the_weights_is_refused(run, seed):
    flip(run / WEIGHTS, seed)
    with pytest.raises(UsageError, match=rf"another SHA-256.* Received: {run / WEIGHTS}$"):
        finished_training(run)


def another(values):
    values += np.float32(1e-3)


def not_a_number(values):
    values[-1] = np.nan


def infinite(values):
    values[0] = -np.inf


@pytest.mark.parametrize("change", [another, not_a_number, infinite])
def test_weights_of_another_run_or_that_are_not_finite_are_refused(run, capsys, change):
    changed(run / WEIGHTS, change)
    assert "damaged, changed, or of another run" in refused(capsys, run)
    without_digests(run)
    if change is another:  # nothing tells them apart in a run of then
        load_trained(run)
    else:
        with pytest.raises(UsageError, match=rf"must be finite numbers.* Received: {run / WEIGHTS}$"):
            load_trained(run)
        assert "must be finite numbers" in refused(capsys, run)


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_bit_of_weights_without_a_digest_is_no_traceback(old, tmp_path, seed):
    path = shutil.copytree(old, tmp_path / "run")
    flip(path / WEIGHTS, seed)
    try:
        load_trained(path)
    except UsageError as error:
        assert str(error).endswith(f"Received: {path / WEIGHTS}")


@pytest.mark.parametrize("name", ["train_nasbench201", "train_mobilenet", "train_auxiliary"])
def test_weights_of_another_network_are_refused(old, tmp_path, name):
    path = shutil.copytree(old, tmp_path / "run")
    unpack(name, tmp_path)
    shutil.copy(tmp_path / name / WEIGHTS, path / WEIGHTS)
    with pytest.raises(UsageError, match=rf"Not the weights of this network .* Received: {path / WEIGHTS}$"):
        load_trained(path)


@pytest.mark.parametrize("before", [1, 3, 11])
def test_equal_weights_are_equal_files(old, tmp_path, before):
    """Whatever the process has built before: Keras counts the names of layers."""
    network, _ = load_trained(old)
    first = write_weights(tmp_path / "a.weights.h5", network.save_weights)
    for _ in range(before):
        keras.layers.Dense(1), keras.layers.Conv2D(1, 1)
    again, _ = load_trained(old)
    assert write_weights(tmp_path / "b.weights.h5", again.save_weights) == first
    again.load_weights(tmp_path / "a.weights.h5")
    again.variables[-1].assign(again.variables[-1].numpy() + np.float32(1e-6))
    assert write_weights(tmp_path / "b.weights.h5", again.save_weights) != first


def test_weights_and_their_result_are_read(run, old):
    (now, result), (then, before) = load_trained(run), load_trained(old)
    assert result == before | {"digests": result["digests"]} and set(result["digests"]) == {WEIGHTS, RESULT}
    for one, other in zip(now.variables, then.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
