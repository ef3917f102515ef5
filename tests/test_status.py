"""`status.json` of whole commands: killed, stopped, refused and finished, what it says, and that they go on."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dartsminus_tf.analysis import modes
from dartsminus_tf.cli import quickstart
from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.entries import load_entry
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.foundation.runs.status import StatusFile
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.report.request import Request
from dartsminus_tf.search.runner import run_search
from dartsminus_tf.search.seeds import run_seeds
from dartsminus_tf.spaces.find import find_genotype
from tests.conftest import ROOT, TINY_SEARCH

TINY = [*TINY_SEARCH, "space=nasbench201", "layers=1"]
SAVED_OFTEN = ["runtime.save_minutes=1e-6", "data.train_limit=192", "runtime.keep_checkpoints=1"]
SEARCH = [*TINY, *SAVED_OFTEN, "steps_per_epoch=12", "epochs=3"]
TRAIN = [
    *SAVED_OFTEN,
    *("data.image_size=8", "data.batch_size=8", "data.test_limit=32", "data.augment.cutout=0", "runtime.verbose=0"),
    *("genotype='|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|'", "channels=2", "layers=1"),
    *("auxiliary_weight=0", "drop_path=0", "epochs=3", "steps_per_epoch=12"),
]


def run_command(tool: str, argv: list[str], output: str) -> None:
    """A command, in a process that was forked from one that has imported TensorFlow and not used it."""
    sys.argv = [f"tools/{tool}.py", *argv]
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.exit(load_entry(f"dartsminus_tf.cli.{tool}:run")())


class Command:
    """A command line that can be started, watched, and started again.

    Args:
        tool: which.
        path: its --model_dir.
        overrides: its --params_override.
        flags: further ones.
    """

    def __init__(self, tool: str, path: Path, overrides=(), flags=()):
        self.tool, self.path = tool, path
        self.argv = [f"--model_dir={path}", *flags, *(f"--params_override={override}" for override in overrides)]
        self.output = path.with_name(f"{path.name}.out")
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["keras", "tensorflow_datasets"])

    def start(self) -> multiprocessing.Process:
        process = self._context.Process(target=run_command, args=(self.tool, self.argv, str(self.output)))
        process.start()
        return process

    def end(self) -> int:
        """Run it to its end; returns the exit code."""
        process = self.start()
        process.join()
        return process.exitcode

    def interrupt(self, number: int, reached, part: str = "") -> int:
        """Start it, send a signal when the status of `part` fulfils `reached`; returns the exit code."""
        process = self.start()
        status = StatusFile(self.path / part)
        while not (process.is_alive() and (now := status.read()) and now.process == process.pid and reached(now)):
            assert process.is_alive(), self.output.read_text()
            time.sleep(0.005)
        os.kill(process.pid, number)
        process.join()
        return process.exitcode

    @property
    def lines(self) -> list[str]:
        """What its last call printed."""
        return self.output.read_text().splitlines()

    @property
    def status(self):
        return StatusFile(self.path).read()


def in_its_steps(status) -> bool:
    return status.position is not None and not status.position.endswith("step 0")


def went_on(command: Command, before, resumed: int = 1) -> None:
    """The same command goes on, says so on one line, and finishes."""
    assert command.end() == 0, command.lines
    said = [line for line in command.lines if line.startswith(f"{command.path}: ")]
    assert said == ([f"{command.path}: {before.line}; it goes on now"] if before.state != "stopped" else [])
    status = command.status
    assert (status.state, status.resumed, status.why) == ("finished", resumed, None)
    assert status.start == before.start and status.end >= status.start


def test_a_search_is_killed_then_stopped(tmp_path):
    command = Command("search", tmp_path / "run", SEARCH)
    assert command.interrupt(signal.SIGKILL, in_its_steps) == -signal.SIGKILL
    lost = command.status
    assert lost.state == "lost" and lost.line == f"killed or lost at {lost.position}" and lost.end is None
    assert lost.position.startswith("epoch ") and f"--model_dir={command.path}" in lost.command
    after = lambda status: in_its_steps(status) and status.position != lost.position  # noqa: E731
    assert command.interrupt(signal.SIGTERM, after) == 0, command.lines
    assert command.lines[0] == f"{command.path}: {lost.line}; it goes on now"
    stopped = command.status
    assert stopped.state == "stopped" and stopped.brief == f"stopped at {stopped.position}" and stopped.resumed == 1
    newest = max((command.path / "checkpoints").glob("epoch_*.npz"))
    assert stopped.why == f"stopped at {stopped.position}; saved {newest}"
    assert command.lines[-1].startswith(f"{stopped.why}; go on with: ")
    assert command.lines[-1].endswith(f"go on with: {stopped.command}")
    went_on(command, stopped, resumed=2)


def test_a_training_is_killed(tmp_path):
    command = Command("train", tmp_path / "run", TRAIN)
    assert command.interrupt(signal.SIGKILL, in_its_steps) == -signal.SIGKILL
    lost = command.status
    assert lost.line == f"killed or lost at {lost.position}"
    with pytest.raises(UsageError, match=rf"not finished \({lost.line}\): call train"):
        load_trained(command.path)
    went_on(command, lost)


def test_a_training_fails(tmp_path):
    command = Command("train", tmp_path / "run", [*TRAIN, "weights.l2=1e38", "weights.clip_norm=null"])
    assert command.end() == 2
    failed = command.status
    assert failed.state == "failed" and failed.why.startswith("Not finite at epoch 1, step ") and failed.end
    assert command.lines == [f"error: {failed.why}"]


@pytest.mark.slow
def test_an_analysis_is_killed(tmp_path):
    command = Command("analyze", tmp_path / "report", SEARCH, ["--mode=methods"])
    assert command.interrupt(signal.SIGKILL, in_its_steps, "darts/seed_0") == -signal.SIGKILL
    lost, search = command.status, StatusFile(command.path / "darts" / "seed_0").read()
    assert lost.line == "killed or lost at methods" and search.line == f"killed or lost at {search.position}"
    went_on(command, lost)
    assert f"{command.path / 'darts' / 'seed_0'}: {search.line}; it goes on now" in command.lines
    for name, resumed in (("darts", 1), ("darts-", 0)):
        status = StatusFile(command.path / name / "seed_0").read()
        assert (status.state, status.resumed) == ("finished", resumed)


@pytest.mark.slow
def test_a_skip_advantage_is_stopped_and_killed(tmp_path):
    overrides = [value for value in TINY_SEARCH if value.startswith(("data.", "runtime"))]
    overrides += ["channels=2", "blocks=1", "initial=[0, 1]", "epochs=3000", "steps_per_epoch=4"]
    command = Command("analyze", tmp_path / "report", overrides, ["--mode=skip_advantage"])
    part = "skip_advantage/initial_0"
    for number, state, code in ((signal.SIGTERM, "stopped", 0), (signal.SIGKILL, "lost", -signal.SIGKILL)):
        assert command.interrupt(number, lambda status: True, part) == code, command.lines
        assert command.status.state == StatusFile(command.path / part).read().state == state
    assert command.status.resumed == 1 and command.status.why is None


@pytest.mark.slow
def test_a_search_in_stages_is_killed(tmp_path):
    stages = [{"layers": 3, "epochs": 1, "num_candidates": 3}, {"layers": 3, "epochs": 2, "num_candidates": 2}]
    overrides = [*TINY_SEARCH, *SAVED_OFTEN, "space=s3", "steps_per_epoch=12"]
    overrides.append("progressive=" + json.dumps({"stages": stages, "skip_cap": 1}))
    command = Command("search", tmp_path / "run", overrides)
    assert command.interrupt(signal.SIGKILL, in_its_steps, "stage_2") == -signal.SIGKILL
    lost, stage = command.status, StatusFile(command.path / "stage_2").read()
    assert lost.line.startswith("killed or lost at stage_2, epoch ") and stage.line.startswith(
        "killed or lost at epoch"
    )
    went_on(command, lost)
    (command.path / "result.json").unlink()
    (command.path / "status.json").write_text(lost.model_copy(update={"state": "running"}).model_dump_json())
    went_on(command, lost)  # from the stages, which are done


@pytest.mark.slow
def test_one_of_several_searches_is_killed(tmp_path):
    command = Command("search", tmp_path / "runs", SEARCH, ["--seeds=0,4"])
    assert command.interrupt(signal.SIGKILL, in_its_steps, "seed_4") == -signal.SIGKILL
    (command.path / f".{2**22 + 1}.tmp.seeds.csv").touch()  # what a kill leaves a moment later
    lost = StatusFile(command.path / "seed_4").read()
    assert lost.state == "lost" and StatusFile(command.path / "seed_0").read().state == "finished"
    assert command.end() == 0, command.lines
    assert f"{command.path / 'seed_4'}: {lost.line}; it goes on now" in command.lines
    assert sorted(child.name for child in command.path.iterdir()) == ["seed_0", "seed_4", "seeds.csv", "seeds.md"]
    assert StatusFile(command.path / "seed_4").read().state == "finished"


# Quickstart, whose stages are processes of their own


QUICKSTART = [
    f"--config_file={ROOT}/configs/quickstart.yaml",
    f"--params_override=detection_config={ROOT}/configs/detect_digit_scenes.yaml",
]


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_a_quickstart_is_killed(tmp_path):
    """The data of its search cannot be found, so its second call ends soon."""
    path = tmp_path / "run"
    tool = [sys.executable, str(ROOT / "tools" / "quickstart.py"), *QUICKSTART, f"--model_dir={path}"]
    tool.append("--params_override=search.data.name=no_such_set_9")
    status = StatusFile(path)
    process = subprocess.Popen(tool, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not ((now := status.read()) and now.position and children_of(process.pid)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    (child,) = children_of(process.pid)
    process.kill()
    process.communicate()
    until = time.monotonic() + 30
    while Path(f"/proc/{child}").exists():  # nobody sent it anything but the kernel
        assert time.monotonic() < until
        time.sleep(0.05)
    lost = status.read()
    assert lost.line == "killed or lost at stage 'search'" and lost.process == process.pid
    assert json.loads((path / "versions.json").read_text())["seed"] == 0
    again = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert again.returncode == 2 and again.stdout.splitlines()[0] == f"{path}: {lost.line}; it goes on now"
    failed = status.read()
    assert failed.resumed == 1 and failed.line.startswith(
        "failed at stage 'search' (Stage 'search' ended with exit code 2"
    )
    assert again.stderr.splitlines()[-1] == f"error: {failed.why}"


def results_of_stages(genotype: dict) -> dict:
    """What the stages of a quickstart write, as short as it may be."""
    network = {"genotype": genotype, "num_classes": 1}
    images = {
        "image_size": 8,
        "data": "digits",
        "class_names": ["0"],
        "preprocessing": {"mean": [0] * 3, "std": [1] * 3},
    }
    accuracies = {"test_accuracy": 0.5, "test_top5_accuracy": 1.0, "test_loss": 1.0}
    costs = {"parameters": 1, "multiply_adds": 1, "seconds": 1.0}
    return {
        "search": {"kind": "search", "validation_accuracy": 0.5, "genotype": genotype, "epochs": 1, "seconds": 1.0},
        "train": {"kind": "train", "genotype": genotype, "network": network, **images, **accuracies, **costs},
        "detect": {"ap": 0.1, "ap50": 0.2},
    }


def test_what_a_quickstart_says(tmp_path, monkeypatch, capsys):
    """Its stages stand in: each writes a result, or does what `faults` say."""
    genotype = find_genotype("cifar10_s0_best").genotype.to_dict()
    results = results_of_stages(genotype)
    faults = {
        "train": "from dartsminus_tf.foundation.runs.status import StatusFile\n"
        "with StatusFile(path) as s: (path / 'x').touch(); s.note('step 3'); raise SystemExit(2)"
    }

    def module(self, module, arguments):
        name = {"detection.cli.prepare_coco": "scenes"}.get(module, module.rpartition(".")[2])
        result = json.dumps(results.get(name, {}))
        code = "import os; from pathlib import Path\n"
        code += f"path = Path({str(self.path / name)!r}); path.mkdir(exist_ok=True)\n"
        return [sys.executable, "-c", code + faults.get(name, f"(path / 'result.json').write_text({result!r})")]

    monkeypatch.setattr(quickstart.Quickstart, "_module", module)
    argv = ["quickstart", *QUICKSTART, f"--model_dir={tmp_path / 'run'}"]
    status = StatusFile(tmp_path / "run")
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert quickstart.run(argv) == 2
        failed = status.read()
        assert failed.line == (
            "failed at stage 'train' (Stage 'train' ended with exit code 2: failed at step 3 (SystemExit: 2))"
        )
        faults["train"] = "import signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
        assert quickstart.run(argv) == 0
        stopped = status.read()
        assert (stopped.line, stopped.resumed) == ("stopped at stage 'train' (stopped in stage 'train')", 1)
        faults.clear()
        assert quickstart.run([*argv, "--params_override=search.runtime.verbose=2"]) == 0
        assert (status.read().brief, status.read().resumed) == ("finished", 2)
        capsys.readouterr()
        assert quickstart.run([*argv, "--params_override=train.runtime.seed=5"]) == 2
        assert "differs in train.runtime.seed (0 -> 5)" in capsys.readouterr().err
        assert quickstart.run(argv) == 0 and "detector: AP50" in capsys.readouterr().out
        assert status.read().brief == "finished"
    finally:
        signal.signal(signal.SIGTERM, before)


# What other commands say of a run


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A finished search."""
    path = tmp_path_factory.mktemp("runs") / "seed_0"
    run_search(load_config(SearchConfig, overrides=TINY), path)
    return path


def as_if(source: Path, path: Path, **status) -> Path:
    """A copy of a run that did not finish, with another status, or none."""
    shutil.copytree(source, path)
    (path / "result.json").unlink()
    (path / "genotype.json").unlink()
    text = json.loads((path / "status.json").read_text()) | status
    (path / "status.json").write_text(json.dumps(text)) if status else (path / "status.json").unlink()
    return path


def test_compare_says_how_every_run_stands(searched, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(searched, runs / "a")
    as_if(searched, runs / "b", state="running", position="epoch 2, step 1")
    as_if(searched, runs / "c", state="failed", position="epoch 2, step 1", why="a long story")
    as_if(searched, runs / "d")
    running = as_if(searched, runs / "e", state="running", position="epoch 2, step 1")
    shutil.copytree(searched, runs / "f")
    (runs / "f" / "status.json").unlink()
    with StatusFile(running).lock:
        settings = modes.settings_of("compare", [], [])
        modes.run("compare", Request([str(runs)], tmp_path / "report", settings))
    with open(tmp_path / "report" / "compare.csv", newline="") as file:
        states = {row["run"]: row["state"] for row in csv.DictReader(file)}
    assert states == {
        "a": "finished",
        "b": "killed or lost at epoch 2, step 1",
        "c": "failed at epoch 2, step 1",
        "d": "",
        "e": "running at epoch 2, step 1",
        "f": "finished",
    }
    assert StatusFile(tmp_path / "report").read().state == "finished"


def test_a_cell_of_an_unfinished_search(searched, tmp_path):
    path = as_if(searched, tmp_path / "a", state="running", position="epoch 2, step 1", command="tools/search.py -x")
    message = r"not finished \(killed or lost at epoch 2, step 1\); it goes on with: tools/search\.py -x\. Received"
    with pytest.raises(UsageError, match=message):
        find_genotype(str(path))
    assert find_genotype(str(searched)).space == "nasbench201"
    with pytest.raises(UsageError, match="published name"):
        find_genotype(str(tmp_path))


def test_a_search_from_before_there_was_a_status(searched, tmp_path, capsys):
    path = as_if(searched, tmp_path / "seed_0")
    (path / ".lock").unlink()
    result = json.loads((searched / "result.json").read_text())
    again = run_search(load_config(SearchConfig, overrides=TINY), path)
    assert again["genotype"] == result["genotype"] and "goes on" not in capsys.readouterr().out
    status = StatusFile(path).read()
    assert (status.state, status.resumed) == ("finished", 0)


def test_a_kill_after_the_result_is_a_finish(searched, tmp_path):
    path = tmp_path / "seed_0"
    shutil.copytree(searched, path)
    before = (path / "status.json").read_bytes()
    run_search(load_config(SearchConfig, overrides=TINY), path)  # finished: it is shown and stays
    assert (path / "status.json").read_bytes() == before
    text = json.loads(before) | {"state": "running", "end": None}
    (path / "status.json").write_text(json.dumps(text))
    assert StatusFile(path).read().state == "lost"
    run_search(load_config(SearchConfig, overrides=TINY), path)
    assert StatusFile(path).read().state == "finished"


def test_what_is_refused_writes_nothing(tmp_path):
    config = load_config(SearchConfig, overrides=[*TINY, "data.name=no_such_set_9"])
    with pytest.raises(UsageError, match="no_such_set_9"):
        run_search(config, tmp_path / "search")
    for mode, message in (("methods", "no_such_set_9"), ("skip_advantage", "no_such_set_9"), ("alpha", "No run")):
        overrides = [] if mode == "alpha" else ["data.name=no_such_set_9"]
        settings = modes.settings_of(mode, [], overrides)
        with pytest.raises(UsageError, match=message):
            modes.run(mode, Request([], tmp_path / mode, settings, overrides=overrides))
    assert list(tmp_path.iterdir()) == []


def test_an_analysis_inside_a_run(searched, tmp_path):
    """It has a status beside the run's, and no other may run there at the same time."""
    path = tmp_path / "seed_0"
    shutil.copytree(searched, path)
    request = Request([str(path)], path, modes.settings_of("alpha", [], []))
    with StatusFile(path).lock:  # the run is going on
        modes.run("alpha", request)
    assert StatusFile(path, "alpha").read().brief == "finished" and StatusFile(path).read().brief == "finished"
    with StatusFile(path, "alpha").lock, pytest.raises(UsageError, match=f"in use by process {os.getpid()} on"):
        modes.run("alpha", request)


def test_several_seeds_go_on_over_leftovers(searched, tmp_path):
    """Of a process that was killed while it wrote the table."""
    shutil.copytree(searched, tmp_path / "runs" / "seed_0")
    (tmp_path / "runs" / f".{2**22 + 1}.tmp.seeds.csv").touch()
    run_seeds(load_config(SearchConfig, overrides=TINY), tmp_path / "runs", [0])
    assert sorted(child.name for child in (tmp_path / "runs").iterdir()) == ["seed_0", "seeds.csv", "seeds.md"]


def test_a_training_config_is_bound_but_for_its_runtime(tmp_path):
    config = load_config(TrainConfig, overrides=TRAIN)
    with RunDirectory(tmp_path / "run", config):
        pass
    RunDirectory(tmp_path / "run", load_config(TrainConfig, overrides=[*TRAIN, "runtime.on_nonfinite=step_back"]))
    with pytest.raises(UsageError, match=r"differs in runtime\.seed \(0 -> 1\)"):
        RunDirectory(tmp_path / "run", load_config(TrainConfig, overrides=[*TRAIN, "runtime.seed=1"]))
