"""Errors of the machine, in every command: one line and exit code 2; those of the program keep their traceback."""

import errno
import importlib
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

from dartsminus_tf.foundation.errors import NO_MEMORY, first_reason, machine_fault, write_fault
from dartsminus_tf.foundation.runs.command import run_command

PLACE, FAILED = "cannot read or write", "TensorFlow failed. Received:"
COMMANDS = ["search", "train", "export", "analyze", "quickstart"]


def raised(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def full_hdf5():
    with h5py.File("/dev/full", "w") as file:
        file["x"] = np.zeros(10**6)


def made(name, message):
    return getattr(tf.errors, name)(None, None, message)


OUT_OF_MEMORY = made(
    "ResourceExhaustedError", "{{function_node x}} OOM when allocating tensor with shape[1000000] [Op:Fill]"
)


def throw(error):
    raise error


REAL = {
    "absent": (lambda: tf.io.read_file("/nope/x"), f"{FAILED} /nope/x; No such file or directory"),
    "a folder": (lambda: tf.io.read_file("/tmp"), f"{FAILED} /tmp; Is a directory"),
    "full": (
        lambda: tf.io.write_file("/dev/full", "a" * 10**5),
        f"{FAILED} /dev/full; No space left on device",
    ),
    "memory": (lambda: throw(OUT_OF_MEMORY), f"{NO_MEMORY}. Received: OOM when allocating tensor with shape[1000000]"),
    "no such scheme": (
        lambda: tf.io.gfile.GFile("foo://a").read(),
        f"{FAILED} File system scheme 'foo' not implemented",
    ),
    "no record": (
        lambda: next(iter(tf.data.TFRecordDataset(__file__))),
        f"{FAILED} corrupted record at 0",
    ),
    "a record in a graph": (
        lambda: tf.function(lambda: next(iter(tf.data.TFRecordDataset(__file__))))(),
        f"{FAILED} corrupted record at 0",
    ),
    "no checkpoint": (lambda: tf.train.load_checkpoint("/nope/ckpt"), f"{FAILED} Unsuccessful"),
    "numpy": (lambda: np.zeros([10**9, 10**9]), f"{NO_MEMORY}. Received: Unable to allocate"),
    "memory error": (lambda: exec("raise MemoryError"), f"{NO_MEMORY}. Received: MemoryError"),
    "open": (lambda: Path("/nope/x").read_text(), f"{PLACE} (No such file or directory). Received: '/nope/x'"),
    "open a folder": (lambda: Path("/tmp").read_text(), f"{PLACE} (Is a directory). Received: '/tmp'"),
    "under a file": (
        lambda: os.mkdir(f"{__file__}/x"),
        f"{PLACE} (Not a directory). Received: '{__file__}/x'",
    ),
    "a long name": (lambda: Path("/tmp/" + "x" * 300).touch(), f"{PLACE} (File name too long). Received: '/tmp/xx"),
}


@pytest.mark.parametrize("kind", REAL)
def test_errors_of_the_machine_are_one_line(kind, capsys):
    action, line = REAL[kind]
    assert run_command(lambda values: action(), lambda values: None, ["tool"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {line}") and told.count("\n") == 1


TOLD = {
    "oneDNN": (
        made("AbortedError", "Status: 1, message: could not create a primitive"),
        NO_MEMORY,
    ),
    "allocation": (made("ResourceExhaustedError", "failed to allocate memory"), NO_MEMORY),
    "quota": (
        OSError(errno.EDQUOT, "Disk quota exceeded", "x"),
        f"{PLACE} (Disk quota exceeded). Received: 'x'",
    ),
    "HDF5": (
        RuntimeError("Unable to flush (name = 'a b.h5', errno = 28, error message = 'No space left')"),
        f"{PLACE} (No space left on device). Received: 'a b.h5'",
    ),
    "read-only": (
        made("PermissionDeniedError", "a; Read-only file system"),
        f"{FAILED} a; Read-only",
    ),
    "stack": (
        made(
            "DataLossError",
            "Detected at node x\n  at y\n\nIt is cut short\n\t [[{{node x}}]] [Op:f]",
        ),
        f"{FAILED} It is cut short",
    ),
}


@pytest.mark.parametrize("kind", TOLD)
def test_made_errors_are_one_line(kind):
    error, line = TOLD[kind]
    assert machine_fault(error).startswith(line)


PROGRAM = [
    ZeroDivisionError("x"),
    KeyError("x"),
    ValueError("x"),
    RuntimeError("x"),
    AttributeError("x"),
    OSError("of no number"),
    OSError(errno.ENOENT, "of no file"),
    OSError(errno.EBADF, "x", "file"),
    made("InvalidArgumentError", "shapes do not match"),
    made("InternalError", "x"),
]


@pytest.mark.parametrize("error", PROGRAM, ids=repr)
def test_errors_of_the_program_are_not_hidden(error):
    def main(values):
        raise error

    with pytest.raises(type(error)) as caught:
        run_command(main, lambda values: None, ["tool"])
    assert caught.value is error and machine_fault(error) is None


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("fault", ["full", "memory", "program"])
def test_in_every_command(name, fault, monkeypatch, capsys):
    module = importlib.import_module(f"dartsminus_tf.cli.{name}")
    error = ZeroDivisionError("planted") if fault == "program" else raised(REAL[fault][0])

    def main(values):
        raise error

    monkeypatch.setattr(module, "main", main)
    if fault == "program":
        with pytest.raises(ZeroDivisionError):
            module.run([name])
    else:
        assert module.run([name]) == 2
        assert capsys.readouterr().err.startswith(f"error: {REAL[fault][1]}")


def test_what_may_be_said_of_a_place():
    assert write_fault(raised(full_hdf5)) == "No space left on device"
    assert write_fault(raised(REAL["full"][0])).endswith("No space left on device")
    assert write_fault(raised(REAL["open"][0])) is None and write_fault(OUT_OF_MEMORY) is None


@pytest.mark.slow
def test_tensorflow_calls_it_so():
    """It tries for ten seconds first."""
    told = machine_fault(raised(lambda: tf.zeros([10**6, 10**6])))
    assert told.startswith(f"{NO_MEMORY}. Received: OOM when allocating tensor with shape[1000000,1000000]")


@pytest.mark.parametrize("message", ["", "\n\n", " \t"])
def test_a_message_that_says_nothing(message):
    assert first_reason(message) == "no reason given"
