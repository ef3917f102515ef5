"""Folders that appear whole: places that cannot be, and several processes at one place."""

import os
import re
import subprocess
import sys
import threading

import pytest

from dartsminus_tf.foundation.disk import files, folders
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunDirectory


def tree(path) -> list[str]:
    return sorted(str(child.relative_to(path)) for child in path.rglob("*"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what can be in the way, which the process works in."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".mine").touch()
    (tmp_path / "here").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to_file").symlink_to("file")
    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


TAKEN = ["file", "full", "hidden", "fifo", "to_file", "here/..", "/", "/dev/null", "."]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *((name, "must be new or empty") for name in TAKEN if name != "."),
        (".", "must be new or empty|the current folder"),
        ("here", "cannot be the current folder: name a new one in it"),
        ("file/x", "must be in a folder, but .*file is none"),
        ("fifo/x/y", "must be in a folder, but .*fifo is none"),
        ("/dev/null/x", "must be in a folder, but /dev/null is none"),
        ("circle", "cannot be there|new or empty"),
        ("a\0b", "cannot be there"),
        ("n" * 256, "cannot be made there|cannot be there"),
        ("/proc/x/y", "cannot be made there"),
    ],
)
def test_places_that_cannot_be_are_refused_and_left_alone(place, name, rule):
    before = tree(place)
    path = name if name.startswith(("/", ".")) else f"{place}/{name}"
    for refuse in (folders.require_place, lambda path, _: folders.new_folder(path).__enter__()):
        with pytest.raises(UsageError, match=rf"^(--export_dir|The folder) .*({rule}).* Received: .*") as caught:
            refuse(path, "--export_dir")
        assert "\n" not in str(caught.value) and tree(place) == before


@pytest.mark.parametrize("name", ["new", "a/b/c", "empty", "here/new", ".hidden", "ä ö", "to_new"])
def test_places_that_can_be(place, name):
    (place / "empty").mkdir()
    (place / "to_new").symlink_to("linked")
    before = tree(place)
    assert folders.require_place(place / name) == (place / name).resolve()
    assert tree(place) == before
    with folders.new_folder(place / name) as folder:
        (folder / "content").write_text("x")
    assert (place / name / "content").read_text() == "x" and not list(place.rglob("*.tmp.*"))


def test_a_place_that_may_not_be_written_to_is_refused(tmp_path, monkeypatch):
    """As it is for others than root, whom permissions do not stop."""

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "mkdir", forbidden)
    for path in (tmp_path / "new", tmp_path / "a" / "b", tmp_path / "c.d"):
        for refuse in (folders.require_place, folders.require_folder):
            with pytest.raises(UsageError, match=r"made there \(Permission denied\)\. Received: "):
                refuse(path)


def test_a_mount_point_is_no_place(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path / "out")
    with pytest.raises(UsageError, match="cannot be a mount point: name a new one in it"):
        folders.require_place(tmp_path / "out")
    folders.require_place(tmp_path / "out" / "new")


@pytest.mark.parametrize("name", ["full", "here", "new", "a/b"])
def test_a_folder_that_is_filled_further(place, name):
    before = tree(place)
    folders.require_folder(place / name)
    assert tree(place) == before


@pytest.mark.parametrize("name", ["file", "fifo", "to_file", "file/x"])
def test_no_folder_to_fill_further(place, name):
    with pytest.raises(UsageError, match="^model_dir must be (in )?a folder"):
        folders.require_folder(place / name, "model_dir")
    if "/" in name:
        with pytest.raises(UsageError, match="^model_dir must be in a folder"):
            RunDirectory(place / name, {"a": 1})


def test_what_fails_takes_the_folders_above_it_along(tmp_path):
    (tmp_path / "there").mkdir()
    for parts in ("a", "b/c", "there/d/e"):
        with pytest.raises(ZeroDivisionError), folders.new_folder(tmp_path / parts) as folder:
            (folder / "half").touch()
            raise ZeroDivisionError
        assert tree(tmp_path) == ["there"]
    with pytest.raises(ZeroDivisionError), folders.new_folder(tmp_path / "x" / "y"):
        (tmp_path / "x" / "of somebody else").touch()
        raise ZeroDivisionError
    assert tree(tmp_path) == ["there", "x", "x/of somebody else"]


# Two at one place

WRITER = """
import hashlib, sys, time
from pathlib import Path
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.disk.folders import new_folder
me, trials, root = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
for trial in range(trials):
    (root / f"ready_{trial}_{me}").touch()
    while len(list(root.glob(f"ready_{trial}_*"))) < 3:
        time.sleep(0.001)
    try:
        with new_folder(root / f"export_{trial}") as folder:
            (folder / "variables").mkdir()
            for part in range(3):
                (folder / "variables" / str(part)).write_text(me * (part + 1))
                time.sleep(0.002 * int(me))
            (folder / "manifest").write_text(me)
        print(trial, me, flush=True)
    except UsageError as error:
        print("error:", trial, error, flush=True)
"""


def test_of_processes_at_one_place_one_wins_and_the_others_are_told(tmp_path):
    trials = 6
    command = [sys.executable, "-c", WRITER]
    writers = [
        subprocess.Popen([*command, str(me), str(trials), str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for me in range(3)
    ]
    lines = [line for writer in writers for line in writer.communicate(timeout=60)[0].splitlines()]
    assert [writer.returncode for writer in writers] == [0, 0, 0] and len(lines) == 3 * trials
    for trial in range(trials):
        export = tmp_path / f"export_{trial}"
        (winner,) = [line.split()[1] for line in lines if line.startswith(f"{trial} ")]
        told = [line for line in lines if line.startswith(f"error: {trial} ")]
        assert len(told) == 2 and all(f"must be new or empty. Received: {export}" in line for line in told)
        assert tree(export) == ["manifest", "variables", "variables/0", "variables/1", "variables/2"]
        assert (export / "manifest").read_text() == winner
        assert [(export / "variables" / str(n)).read_text() for n in range(3)] == [winner * (n + 1) for n in range(3)]
    assert not list(tmp_path.glob(".*"))


def test_threads_of_one_process_do_not_sweep_one_another(tmp_path):
    with folders.new_folder(tmp_path / "first") as first:
        (first / "half").touch()
        with files.replacing(tmp_path / "file") as file:
            file.write_text("x")
            others = []

            def other():
                with folders.new_folder(tmp_path / "second") as second:
                    (second / "whole").touch()
                for path in (tmp_path / "first", tmp_path / "file"):
                    try:
                        with folders.new_folder(path):
                            pass
                    except UsageError as error:
                        others.append(str(error))

            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        assert [re.sub(" Received.*", "", line) for line in others] == ["This process is writing it already."] * 2
    assert tree(tmp_path) == ["file", "first", "first/half", "second", "second/whole"]
