"""What every run stands on: files that appear whole, tables, settings, locks, run directories, statuses, commands."""

import contextlib
import errno
import fcntl
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dartsminus_tf.foundation.config.settings import differences, layered, lookup
from dartsminus_tf.foundation.disk import files, folders
from dartsminus_tf.foundation.disk.lock import RunLock
from dartsminus_tf.foundation.errors import Interrupted, Stopped, UsageError, require
from dartsminus_tf.foundation.runs import command
from dartsminus_tf.foundation.runs import directory as run
from dartsminus_tf.foundation.runs.directory import RunDirectory, RunKind
from dartsminus_tf.foundation.runs.status import StatusFile

CONFIG = {"runtime": {"seed": 3, "verbose": 0}, "rate": 0.1}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def python(code, *arguments, **options):
    """A process that runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **options
    )


@contextlib.contextmanager
def running(code, *arguments):
    """A process that runs `code` and has printed its first line; it is killed in the end."""
    process = python(
        f"import sys, time; from pathlib import Path\n{code}\nprint(1, flush=True); time.sleep(60)", *arguments
    )
    try:
        assert process.stdout.readline() == "1\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def dead():
    """The number of a process that has ended."""
    process = python("")
    process.communicate()
    return process.pid


# Files


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "sub" / "model.weights.h5"
    files.write_atomically(path, "old")
    with files.replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent and temporary.name.endswith(".model.weights.h5")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and names(path.parent) == ["model.weights.h5"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["a.csv"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, flushed = tmp_path / "a.csv", []
    flush = os.fsync

    def fsync(descriptor):
        flushed.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.exists()))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_atomically(path, b"x")
    assert [exists for _, exists in flushed] == [False, True]
    assert flushed[0][0].endswith(".tmp.a.csv") and flushed[1][0] == str(tmp_path)


def test_a_folder_appears_whole(tmp_path):
    with folders.new_folder(tmp_path / "export") as folder:
        (folder / "variables").mkdir()
        (folder / "variables" / "data").write_text("x")
        assert not (tmp_path / "export").exists()
    assert names(tmp_path) == ["export"] and (tmp_path / "export" / "variables" / "data").read_text() == "x"
    with pytest.raises(UsageError, match="new or empty"), folders.new_folder(tmp_path / "export"):
        raise AssertionError
    (tmp_path / "empty").mkdir()
    with folders.new_folder(tmp_path / "empty") as folder:
        (folder / "a").touch()
    assert names(tmp_path / "empty") == ["a"]


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), folders.new_folder(tmp_path / "export") as folder:
        (folder / "a").touch()
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_the_slower_of_two_writers_of_a_folder_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "export"

    def fill():
        path.mkdir()
        (path / "first").touch()

    with pytest.raises(UsageError, match=r"new or empty\. Received: .*export$"), folders.new_folder(path):
        fill()
    assert names(tmp_path) == ["export"] and names(path) == ["first"]
    (path / "first").unlink()
    path.rmdir()
    rename = os.replace
    monkeypatch.setattr(os, "replace", lambda *where: (fill(), rename(*where)))  # later than any look
    with pytest.raises(UsageError, match="new or empty"), folders.new_folder(path) as folder:
        (folder / "second").touch()
    assert names(tmp_path) == ["export"] and names(path) == ["first"]


def test_leftovers_of_dead_processes_are_swept(tmp_path, dead):
    gone = [f".{dead}.tmp.a.csv", f".{dead}.tmp.export", f".{os.getpid()}.tmp.b.csv", f".{10**30}.tmp.c"]
    gone += [f".seeds.csv.{dead}.tmp", f".{dead}@{re.sub('[^-a-zA-Z0-9_]', '_', platform.node())}.tmp.d"]  # old, new
    stay = [f".{os.getppid()}.tmp.a.csv", ".lock", "a.tmp.b", f".x{dead}.tmp.a", f".{dead}@elsewhere.tmp.a"]
    for name in [*gone, *stay]:
        (tmp_path / name).mkdir() if name.endswith("export") else (tmp_path / name).touch()
    (tmp_path / gone[1] / "inside").touch()
    assert [files.is_leftover(tmp_path / name) for name in (*gone, *stay)] == [True] * 7 + [False] * 3 + [True]
    files.sweep(tmp_path)
    assert names(tmp_path) == sorted(stay)


def test_what_cannot_be_swept_stays(tmp_path, dead, monkeypatch):
    (tmp_path / f".{dead}.tmp.a").touch()
    (tmp_path / f".{dead}.tmp.b").mkdir()

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(os, "rmdir", refuse)
    files.sweep(tmp_path)
    assert len(names(tmp_path)) == 2


def test_a_new_folder_sweeps_beside_it(tmp_path, dead):
    (tmp_path / f".{dead}.tmp.export").mkdir()
    with folders.new_folder(tmp_path / "export"):
        pass
    assert names(tmp_path) == ["export"]


def test_json_is_a_line_a_key_and_has_no_nan(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": [1, 2.5], "b": {"c": None}})
    assert path.read_text() == '{\n  "a": [1, 2.5],\n  "b": {"c": null}\n}\n'
    for value in ({"a": float("nan")}, {"a": {"b": [float("inf")]}}, [float("nan")]):
        with pytest.raises(UsageError, match=r"must be finite .*Received: .*a\.json$"):
            files.write_json(path, value)
    assert json.loads(path.read_text())["b"] == {"c": None} and names(tmp_path) == ["a.json"]


def test_an_error_is_one_line_of_bounded_length():
    assert str(UsageError("a\n  b\tc")) == "a b c" and len(str(UsageError("x" * 10**5))) == 2000
    with pytest.raises(UsageError, match=r"^must be small\. Received: 'big'$"):
        require(False, "must be small", "big")
    require(True, "", None)


# Settings


def test_differences_are_by_dotted_key():
    before = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": {}}
    assert differences(before, {"a": {"b": 1, "c": (1, 2)}, "f": None}) == {}
    now = {"a": {"b": 2, "c": [1]}, "d": {"x": 0}}
    assert differences(before, now) == {"a.b": (1, 2), "a.c": ([1, 2], [1]), "d.x": (None, 0)}
    assert list(differences({"z": 1, "y": {"b": 1}, "x": 1}, {})) == ["x", "y.b", "z"]


def test_lookup_and_layers():
    base = {"a": {"b": [1]}, "c": 2}
    assert lookup(base, "a.b") == [1] and lookup(base, "c") == 2
    assert lookup(base, "a.x") is None and lookup(base, "c.b.a") is None
    above = layered(base, {"a": {"d": 3}, "c": {"e": 4}})
    assert above == {"a": {"b": [1], "d": 3}, "c": {"e": 4}}
    above["a"]["b"].append(2)
    assert base == {"a": {"b": [1]}, "c": 2}


# Locks


def test_one_holder_at_a_time(tmp_path):
    lock, other = RunLock(tmp_path), RunLock(tmp_path)
    assert lock.is_free() and not lock.held
    with lock:
        lock.acquire()  # again: nothing happens
        assert lock.held and not lock.is_free() and not other.is_free()
        with pytest.raises(UsageError, match=f"in use by process {os.getpid()} on .*Received: {tmp_path}$"):
            other.acquire()
        assert not other.held
        with RunLock(tmp_path, ".val.lock"):
            pass
    assert not lock.held and other.is_free()
    with other:
        assert not lock.is_free()


def test_a_lock_goes_with_its_process(tmp_path):
    code = "from dartsminus_tf.foundation.disk.lock import RunLock; lock = RunLock(Path(sys.argv[1])); lock.acquire()"
    lock = RunLock(tmp_path)
    with running(code, tmp_path) as process:
        assert not lock.is_free()
        with pytest.raises(UsageError, match=f"in use by process {process.pid} on"):
            lock.acquire()
    assert lock.is_free() and lock.path.exists()
    lock.path.write_text("x" * 150)
    with lock:
        assert lock.path.read_text() == f"process {os.getpid()} on {platform.node()}\n"


def test_who_only_looks_is_in_nobodys_way(tmp_path):
    """A look is a shared lock, held for a moment."""
    lock = RunLock(tmp_path)
    with lock:
        pass
    look = os.open(lock.path, os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    assert lock.is_free()
    with pytest.raises(UsageError, match="in use"):
        lock.acquire()
    timer = threading.Timer(0.03, os.close, [look])
    timer.start()
    lock.acquire()
    lock.close()
    timer.join()


# Run directories


def test_what_makes_another_run():
    kind = RunKind(free=("runtime.", "train.runtime."), bound=("runtime.seed",))
    same = lambda now, sections=(): kind.require_same(CONFIG, now, Path("runs/a"), sections)  # noqa: E731
    same({**CONFIG, "runtime": {"seed": 3, "verbose": 2, "new": 1}, "train": {"runtime": {"x": 1}}})
    with pytest.raises(UsageError, match=r"^runs/a belongs to .*differs in runtime\.seed \(3 -> 4\)\)"):
        same(layered(CONFIG, {"runtime": {"seed": 4, "verbose": 2}}))
    with pytest.raises(UsageError, match=r"differs in a \(None -> 1\), b \(None -> 1\), c \(None -> 1\)\)"):
        same({**CONFIG, "a": 1, "b": 1, "c": 1, "d": 1})
    same({**CONFIG, "other": {"x": 1}}, ["rate", "train."])
    with pytest.raises(UsageError, match=r"rate \(0\.1 -> 0\.2\)"):
        same(layered(CONFIG, {"rate": 0.2}), ["rate", "train."])


def stored(path, name="versions.json"):
    return json.loads((path / name).read_text())


def test_the_first_versions_stay(tmp_path, monkeypatch):
    now = {"python": "3.11.1", "numpy": "1.0"}
    monkeypatch.setattr(run, "versions", lambda packages: dict(now))
    again = lambda: RunDirectory(tmp_path / "run", CONFIG).open().close()  # noqa: E731
    again()
    first = {"seed": 3, "python": "3.11.1", "numpy": "1.0"}
    assert stored(tmp_path / "run") == first
    again()
    assert stored(tmp_path / "run") == first
    now["numpy"] = "2.0"
    again()
    again()
    assert stored(tmp_path / "run") == {**first, "resumed_with": [now]}
    now["numpy"] = "1.0"  # the first ones again
    again()
    assert stored(tmp_path / "run") == {**first, "resumed_with": [{**now, "numpy": "2.0"}]}
    now["numpy"] = "3.0"
    again()
    assert [later["numpy"] for later in stored(tmp_path / "run")["resumed_with"]] == ["2.0", "3.0"]


def test_versions_of_absent_packages():
    found = run.versions(("numpy", "no-such-package"))
    assert list(found) == ["python", "numpy", "no-such-package"] and found["no-such-package"] == "not installed"


def test_a_run_from_before_it_had_a_status(tmp_path):
    path = tmp_path / "run"
    RunDirectory(path, CONFIG).open().close()
    (path / "status.json").unlink()
    (path / ".lock").unlink()
    (path / "versions.json").write_text('{"python": "3.10"}')
    assert StatusFile(path).read() is None
    with RunDirectory(path, CONFIG) as directory:
        versions = stored(path)
        assert versions["seed"] == 3 and versions["python"] == "3.10" and len(versions["resumed_with"]) == 1
        result = directory.write_result({"a": 1})
    assert StatusFile(path).read().resumed == 0
    (path / "status.json").unlink()
    assert RunDirectory(path, CONFIG).finished() == result and not (path / "status.json").exists()


def test_nothing_is_written_before_a_run_is_opened(tmp_path):
    RunDirectory(tmp_path / "run", CONFIG)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="must be a run directory"):
        RunDirectory(tmp_path / "full", CONFIG)
    assert names(tmp_path) == ["full"] and names(tmp_path / "full") == ["thesis.tex"]


def test_a_run_killed_before_it_had_a_config_begins_anew(tmp_path):
    StatusFile(tmp_path / "run").begin()
    (tmp_path / "run" / ".1.tmp.config.yaml").touch()
    RunDirectory(tmp_path / "run", CONFIG)


def test_a_run_that_cannot_be_opened_lets_the_lock_go(tmp_path):
    path = tmp_path / "run"
    RunDirectory(path, CONFIG).open().close()
    (path / "versions.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"), RunDirectory(path, CONFIG):
        raise AssertionError
    assert StatusFile(path).read().brief == "failed" and StatusFile(path).lock.is_free()


def test_leftovers_are_swept_when_a_run_is_opened(tmp_path, dead):
    path = tmp_path / "run"
    RunDirectory(path, CONFIG).open().close()
    for folder in (path, path / "checkpoints", path / "alphas"):
        folder.mkdir(exist_ok=True)
        (folder / f".{dead}.tmp.x.npz").touch()
    RunDirectory(path, CONFIG).open().close()
    assert not list(path.rglob(".*.tmp.*"))


def test_a_part_of_a_run_tells_it_where_it_stands(tmp_path):
    whole = RunDirectory(tmp_path / "run", CONFIG)
    with contextlib.ExitStack() as stack:
        stack.push(whole)
        with RunDirectory(tmp_path / "run" / "stage_1", CONFIG, parent=whole) as part:
            part.note("epoch 1, step 2")
        assert StatusFile(whole.path).read().brief == "running at stage_1, epoch 1, step 2"
        assert StatusFile(part.path).read().brief == "finished"
    assert StatusFile(whole.path).read().brief == "finished"


# Status


def outcome(path, error, position=None):
    with contextlib.suppress(type(error) if error else ()), StatusFile(path) as status:
        if position:
            status.note(position)
        if error:
            raise error
    return StatusFile(path).read()


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (None, "finished", None),
        (Stopped("saved x"), "stopped", "saved x"),
        (KeyboardInterrupt(), "stopped", "interrupted"),
        (UsageError("the rate\nis bad"), "failed", "the rate is bad"),
        (ZeroDivisionError("by\nzero"), "failed", "ZeroDivisionError: by zero"),
        (OSError(errno.ENOSPC, "full", "b\udcff"), "failed", "OSError: [Errno 28] full: 'b\\udcff'"),
        (RuntimeError("b\udcff" + "x" * 5000), "failed", "RuntimeError: b?" + "x" * 1998),
    ],
)
def test_how_work_ended(tmp_path, error, state, why):
    tmp_path.joinpath("data").touch()
    status = outcome(tmp_path, error, "epoch 2, step 3")
    assert (status.state, status.why, status.position) == (state, why, "epoch 2, step 3")
    assert status.process == os.getpid() and status.host and status.start <= status.end and status.resumed == 0
    where = "" if state == "finished" else " at epoch 2, step 3"
    assert status.brief == state + where and status.line == state + where + (f" ({why})" if why else "")
    assert RunLock(tmp_path).is_free()


def test_while_it_runs(tmp_path):
    with StatusFile(tmp_path / "new") as status:
        seen = StatusFile(tmp_path / "new").read()
        assert (seen.state, seen.end, seen.brief) == ("running", None, "running")
        assert status.read() == seen
        with pytest.raises(UsageError, match="in use by process"):
            StatusFile(tmp_path / "new").begin()
        with StatusFile(tmp_path / "new", "val") as part:  # of another split
            assert part.path.name == "status_val.json"
    assert names(tmp_path / "new") == [".lock", ".val.lock", "status.json", "status_val.json"]


def test_work_that_goes_on(tmp_path, capsys):
    tmp_path.joinpath("data").touch()
    outcome(tmp_path, Stopped("x"), "step 3")
    first = json.loads((tmp_path / "status.json").read_text()) | {"start": "2020-01-01T00:00:00+00:00"}
    (tmp_path / "status.json").write_text(json.dumps(first))
    assert outcome(tmp_path, UsageError("bad")).resumed == 1
    assert capsys.readouterr().out == ""
    status = outcome(tmp_path, None)
    assert capsys.readouterr().out == f"{tmp_path}: failed at step 3 (bad); it goes on now\n"
    assert (status.state, status.resumed, status.start, status.why) == ("finished", 2, first["start"], None)
    anew = outcome(tmp_path, None)
    assert anew.resumed == 0 and anew.start > first["start"] and anew.position is None


def test_other_work_in_the_same_place_is_no_continuation(tmp_path, capsys):
    (tmp_path / "report").touch()
    with contextlib.suppress(UsageError), StatusFile(tmp_path, work="hessian"):
        raise UsageError("bad")
    with StatusFile(tmp_path, work="alpha"):
        status = StatusFile(tmp_path).read()
        assert status.brief == "running at alpha" and status.resumed == 0
    assert capsys.readouterr().out == ""


LOSES = (
    "from dartsminus_tf.foundation.runs.status import StatusFile; status = StatusFile(Path(sys.argv[1])); "
    "status.begin(); status.note('epoch 1, step 7')"
)


def test_killed_work_is_known_by_its_lock(tmp_path, capsys):
    with running(LOSES, tmp_path) as process:
        seen = StatusFile(tmp_path).read()
        assert (seen.state, seen.process) == ("running", process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen = StatusFile(tmp_path).read()
        assert seen.state == "lost" and seen.line == "killed or lost at epoch 1, step 7" and seen.end is None
    status = outcome(tmp_path, None)
    assert capsys.readouterr().out == f"{tmp_path}: killed or lost at epoch 1, step 7; it goes on now\n"
    assert (status.state, status.resumed) == ("finished", 1)


def test_an_end_between_two_looks_is_no_loss(tmp_path, monkeypatch):
    status = StatusFile(tmp_path)
    status.begin()
    reader = StatusFile(tmp_path)
    is_free = reader.lock.is_free
    monkeypatch.setattr(reader.lock, "is_free", lambda: status.end() or is_free())
    assert reader.read().state == "finished"


def test_a_result_that_came_before_the_kill_is_a_finish(tmp_path):
    path = tmp_path / "run"
    RunDirectory(path, CONFIG).open().close()
    with running(LOSES, path):
        StatusFile(path).settle()
        assert StatusFile(path).read().state == "running"
    (path / "result.json").write_text('{"a": 1}')
    assert StatusFile(path).read().state == "lost"
    assert RunDirectory(path, CONFIG).finished() == {"a": 1}
    assert StatusFile(path).read().brief == "finished" and StatusFile(path).read().end


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "odd"}', "\udcff", '{"state": "running", "process": 1}'])
def test_a_damaged_status_says_nothing_and_stops_nobody(tmp_path, content):
    (tmp_path / "status.json").write_text(content, errors="surrogateescape")
    assert StatusFile(tmp_path).read() is None
    assert outcome(tmp_path, None).state == "finished"


def test_refused_work_leaves_no_directory(tmp_path):
    assert outcome(tmp_path / "new", UsageError("bad")) is None and names(tmp_path) == []
    (tmp_path / "there").mkdir()
    assert outcome(tmp_path / "there", UsageError("bad")).state == "failed"
    with pytest.raises(UsageError), StatusFile(tmp_path / "new"):
        (tmp_path / "new" / "table.csv").touch()
        raise UsageError("bad")
    assert StatusFile(tmp_path / "new").read().state == "failed"


def test_a_full_disk_hides_no_error_and_keeps_no_lock(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "data").touch()
    with pytest.raises(ZeroDivisionError), StatusFile(tmp_path):
        monkeypatch.setattr(os, "replace", full)
        raise ZeroDivisionError
    assert RunLock(tmp_path).is_free() and StatusFile(tmp_path).read().state == "lost"
    status = StatusFile(tmp_path)
    with pytest.raises(OSError, match="No space"):
        status.begin()
    assert RunLock(tmp_path).is_free()
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space"), StatusFile(tmp_path):
        monkeypatch.setattr(os, "replace", full)
    assert RunLock(tmp_path).is_free()
    StatusFile(tmp_path).settle()  # a result can be shown all the same


def test_a_command_of_odd_bytes_can_be_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tool", "--model_dir=b\udcff"])
    assert outcome(tmp_path, None).command == r"tool $'--model_dir=b\xff'"


# Commands


@pytest.fixture(autouse=True)
def sigterm():
    """Command lines change what SIGTERM does."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def no_flags(values):
    pass


@pytest.mark.parametrize(
    ("error", "code", "out", "err"),
    [
        (None, 0, "", ""),
        (1, 1, "", ""),
        (UsageError("bad"), 2, "", "error: bad\n"),
        (Stopped("stopped at step 3"), 0, "stopped at step 3; go on with: tool --a=1\n", ""),
        (KeyboardInterrupt(), 0, "\nstopped; go on from what is saved with: tool --a=1\n", ""),
        (
            Interrupted("interrupted: the export was not written"),
            130,
            "",
            "error: interrupted: the export was not written\n",
        ),
        (
            OSError(errno.ENOSPC, "full", "x/y"),
            2,
            "",
            "error: cannot read or write (No space left on device). Received: 'x/y'\n",
        ),
    ],
)
def test_exit_codes(error, code, out, err, monkeypatch, capsys):
    def main(values):
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        if isinstance(error, BaseException):
            raise error
        return error

    monkeypatch.setattr(sys, "argv", ["tool", "--a=1"])
    assert command.run_command(main, no_flags, ["tool"]) == code
    assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(errno.ENOENT, "absent")])
def test_faults_of_the_program_are_not_hidden(error):
    def main(values):
        raise error

    with pytest.raises(type(error)):
        command.run_command(main, no_flags, ["tool"])


def test_help_and_wrong_flags(capsys):
    def main(values):
        raise AssertionError

    define = lambda values: command.define_run_flags(values, "runs/x")  # noqa: E731
    assert command.run_command(main, define, ["a/tool.py", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: tool.py [flags]\n") and "--model_dir" in out and "--[no]quiet" in out
    for argument, message in (("--bogus=1", "bogus"), ("stray", "Received: stray"), ("--quiet=x", "quiet")):
        assert command.run_command(main, define, ["tool", argument]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and message in lines[0]


def test_flags_belong_to_one_call():
    seen = []
    define = lambda values: command.define_run_flags(values, "runs/x")  # noqa: E731
    for arguments in (["--quiet", "--params_override=a=1", "--params_override=b=2"], []):
        command.run_command(
            lambda values: seen.append((values.quiet, values.params_override)), define, ["t", *arguments]
        )
    assert seen == [(True, ["a=1", "b=2"]), (False, [])]


def test_the_command_to_go_on_with(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/venv/bin/python3")
    monkeypatch.setattr(sys, "argv", ["tools/search.py", "--model_dir=a b"])
    monkeypatch.setattr(command.shutil, "which", lambda name: f"/venv/bin/{name}")
    assert command.this_command() == "python3 tools/search.py '--model_dir=a b'"
    monkeypatch.setattr(command.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert command.this_command() == "/venv/bin/python3 tools/search.py '--model_dir=a b'"
    monkeypatch.setattr(sys, "argv", ["/venv/bin/dartsminus-search", "--x"])
    assert command.this_command() == "/venv/bin/dartsminus-search --x"
    monkeypatch.undo()
    process = python("from dartsminus_tf.foundation.runs.command import this_command; print(this_command())", "--a=b c")
    assert process.communicate()[0] == shlex.join(process.args) + "\n"


def test_what_is_written_whole_or_not_is_never_stopped_with_exit_code_0(monkeypatch, capsys):
    from dartsminus_tf.cli import export

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "finished_training", interrupted)
    assert export.run(["dartsminus-export"]) == 130
    assert capsys.readouterr().err == "error: interrupted: the export was not written\n"


CHILD = """
import pathlib, signal, sys, time
place = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (place.write_text("saved"), sys.exit(0)))
place.write_text("at work")
time.sleep(60)
"""


def started(place, *, kill):
    """A parent whose child is at work is sent a signal; returns the parent's exit code and what the child did then."""
    command = f"[sys.executable, '-c', {CHILD!r}, {str(place)!r}]"
    code = f"from dartsminus_tf.foundation.runs.children import run_child; import sys; print(run_child({command}))"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: place.exists() and place.read_text() == "at work")
    parent.send_signal(kill)
    out = parent.communicate(timeout=20)[0]
    wait_for(lambda: place.read_text() == "saved")
    return parent.returncode, out.strip()


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_child_gets_the_signals_of_its_parent_and_ends_with_it(tmp_path):
    assert started(tmp_path / "stopped", kill=signal.SIGTERM) == (0, "(0, True)")
    if sys.platform.startswith("linux"):
        assert started(tmp_path / "killed", kill=signal.SIGKILL) == (-signal.SIGKILL, "")
