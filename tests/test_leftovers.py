"""What killed processes leave of folders that they were writing goes; what another is writing stays."""

import os
import platform
import re
import subprocess
import sys

import pytest

from dartsminus_tf.foundation.disk import files, folders

HOST = re.sub(r"[^-\w]", "_", platform.node())

HOLDER = """
import sys, time
from dartsminus_tf.foundation.disk.folders import new_folder
with new_folder(sys.argv[1]) as folder:
    (folder / "half").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that is writing a folder, and its temporary one."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "held"], stdout=subprocess.PIPE, text=True)
    yield process, tmp_path / process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_what_a_killed_process_left_goes_and_what_one_is_writing_stays(tmp_path, holder):
    process, temporary = holder
    with folders.new_folder(tmp_path / "other"):
        pass
    assert (temporary / "half").exists()
    process.kill()
    process.wait()
    assert (temporary / "half").exists() and not (tmp_path / "held").exists()
    with folders.new_folder(tmp_path / "held") as folder:  # the next call at the same place
        (folder / "whole").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["held", "other", "whole"]


def test_a_process_in_another_container_has_another_number(tmp_path, holder):
    """Nobody has the number here, but the kernel knows that the folder is held."""
    process, temporary = holder
    renamed = temporary.rename(tmp_path / f".{2**22 + 1}@{HOST}.tmp.held")
    files.sweep(tmp_path)
    assert (renamed / "half").exists()
    process.kill()
    process.wait()
    files.sweep(tmp_path)
    assert not renamed.exists()


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("{alive}@{host}.tmp.export", True),  # a process that is there
        ("{alive}.tmp.export", True),
        ("{dead}@elsewhere.tmp.export", True),  # of another machine: nobody here can know
        ("{dead}@{host}.tmp.export", False),
        ("{dead}@{host}.tmp.export.probe", False),
        ("{dead}.tmp.export", False),
        ("{own}@{host}.tmp.export", False),  # an earlier process with this one's number
    ],
)
def test_leftovers_are_swept_where_their_process_is_gone(tmp_path, name, stays):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.communicate()
    leftover = tmp_path / f".{name.format(alive=os.getppid(), dead=process.pid, own=os.getpid(), host=HOST)}"
    leftover.mkdir()
    (leftover / "variables").touch()
    with folders.new_folder(tmp_path / "export"):
        pass
    assert leftover.exists() == stays and (tmp_path / "export").is_dir()
