"""The whole chain on one config: search, train, export, make detection data, detect; ends with one table.

Every stage is a command of its own in a process of its own (search and detection use two incompatible Keras versions),
is left alone when it has finished, and goes on where it stopped.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from absl import flags
from pydantic import Field

from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.paths import PathText
from dartsminus_tf.foundation.config.typed import Strict, dump_config, load_config
from dartsminus_tf.foundation.disk.files import write_atomically, write_json
from dartsminus_tf.foundation.disk.folders import require_place
from dartsminus_tf.foundation.errors import Stopped, UsageError
from dartsminus_tf.foundation.runs.children import run_child
from dartsminus_tf.foundation.runs.command import define_run_flags, run_command
from dartsminus_tf.foundation.runs.directory import RunDirectory, RunKind
from dartsminus_tf.foundation.runs.results import DetectResult, SearchResult, TrainResult, finished_result, stored_json
from dartsminus_tf.foundation.runs.status import Status, StatusFile
from dartsminus_tf.spaces.genotype import Genotype

PATIENCE = 60.0  # seconds
PATTERN_MARKS = "[]*?,"
STAGES = ("search", "train", "export", "scenes", "detect")
RUNS = ("search", "train")
KIND = RunKind(
    free=tuple(f"{name}.{key}" for name in RUNS for key in RunKind.free),
    bound=tuple(f"{name}.{key}" for name in RUNS for key in RunKind.bound),
    lengths=tuple(f"{name}.{key}" for name in RUNS for key in RunKind.lengths),
    seed="search.runtime.seed",
)


class QuickstartConfig(Strict):
    """The whole chain: search, train, export, detect. Detection's own settings are a file of Model Garden's form."""

    search: SearchConfig
    train: TrainConfig
    scenes: dict[str, Annotated[int, Field(gt=0)]]
    detection_config: PathText


class Quickstart:
    """The stages of one quickstart in `path`; `quiet` ones print errors and their last line alone.

    `note` is told where it stands.
    """

    def __init__(
        self, config: QuickstartConfig, path: Path, quiet: bool = False, note: Callable[[str], None] | None = None
    ):
        self.config, self.path, self.quiet, self.note = config, path, quiet, note
        times = path / "seconds.json"
        self.seconds = stored_json(times) if times.exists() else dict.fromkeys(STAGES, 0.0)

    def run(self) -> dict:
        """Run what is not done; returns the summary."""
        path = self.path
        if not (path / "backbone" / "manifest.json").exists():
            require_place(path / "backbone")
        self._stage("search", self._configured("search", self.config.search, path / "search"))
        train = self.config.train.model_copy(update={"genotype": str(path / "search")})
        self._stage("train", self._configured("train", train, path / "train"))
        if not (path / "backbone" / "manifest.json").exists():
            export = [f"--model_dir={path / 'train'}", f"--export_dir={path / 'backbone'}"]
            self._stage("export", self._module("dartsminus_tf.cli.export", export))
        scenes = [f"--{name}={value}" for name, value in self.config.scenes.items()]
        scenes += ["--mode=digit_scenes", f"--output_dir={path / 'scenes'}"]
        self._stage("scenes", self._module("detection.cli.prepare_coco", scenes))
        self._stage("detect", self._module("detection.cli.detect", self._detection_flags()))
        return self._summary()

    def _configured(self, name: str, config: Strict, model_dir: Path) -> list[str]:
        file = self.path / f"{name}.yaml"
        write_atomically(file, dump_config(config))
        return self._module(
            f"dartsminus_tf.cli.{name}", [f"--config_file={file}", f"--model_dir={model_dir}", *self._quiet]
        )

    def _detection_flags(self) -> list[str]:
        scenes = self.path / "scenes"
        places = {
            "task.model.backbone.dartsminus.saved_model": str(self.path / "backbone"),
            "task.annotation_file": str(scenes / "instances_val.json"),
            "task.train_data.input_path": str(scenes / "train*.tfrecord"),
            "task.validation_data.input_path": str(scenes / "val*.tfrecord"),
        }
        overrides = [f"--params_override={key}={json.dumps(value)}" for key, value in places.items()]
        config = f"--config_file={self.config.detection_config}"
        return ["--mode=train_and_eval", f"--model_dir={self.path / 'detect'}", config, *overrides, *self._quiet]

    @property
    def _quiet(self) -> list[str]:
        return ["--quiet"] if self.quiet else []

    def _module(self, module: str, arguments: list[str]) -> list[str]:
        return [sys.executable, "-c", f"import sys; from {module} import run; sys.exit(run())", *arguments]

    def _stage(self, name: str, command: list[str]) -> None:
        if not self.quiet:
            print(f"[{STAGES.index(name) + 1}/{len(STAGES)}] {name}", flush=True)
        if self.note is not None:
            self.note(f"stage '{name}'")
        start, before = time.monotonic(), self._status_after_its_end(name)
        code, stopped = run_child(command)
        self.seconds[name] += time.monotonic() - start
        write_json(self.path / "seconds.json", self.seconds)
        if stopped:
            raise Stopped(f"stopped in stage '{name}'")
        if code != 0:
            status = StatusFile(self.path / name).read()
            reason = "; see its message" if status in (None, before) else f": {status.line}"
            raise UsageError(f"Stage '{name}' ended with exit code {code}{reason}")

    def _status_after_its_end(self, stage: str) -> Status | None:
        """What became of the stage; one that a killed quickstart has left is saving and ends in a moment."""
        file = StatusFile(self.path / stage)
        until = time.monotonic() + PATIENCE
        while not file.lock.is_free() and time.monotonic() < until:
            time.sleep(0.2)
        return file.read()

    def _summary(self) -> dict:
        kinds = {"search": SearchResult, "train": TrainResult, "detect": DetectResult}
        search, train, detect = (finished_result(self.path / stage, kind) for stage, kind in kinds.items())
        seconds = {name: round(value, 1) for name, value in self.seconds.items()}
        summary = {
            "search_accuracy": search["validation_accuracy"],
            "genotype": search["genotype"],
            "test_accuracy": train["test_accuracy"],
            "parameters": train["parameters"],
            "multiply_adds": train["multiply_adds"],
            "ap": detect["ap"],
            "ap50": detect["ap50"],
            "seconds": {**seconds, "total": round(sum(seconds.values()), 1)},
        }
        write_json(self.path / "summary.json", summary)
        return summary


def table(summary: dict) -> str:
    """The summary as a table of two columns."""
    rows = [
        ("search: validation accuracy of the supernet", f"{summary['search_accuracy']:.4f}"),
        ("network: test accuracy", f"{summary['test_accuracy']:.4f}"),
        ("network: parameters", f"{summary['parameters']:,}"),
        ("network: multiply-adds", f"{summary['multiply_adds']:,}"),
        ("detector: AP", f"{summary['ap']:.4f}"),
        ("detector: AP50", f"{summary['ap50']:.4f}"),
        *((f"seconds: {name}", f"{value:.0f}") for name, value in summary["seconds"].items()),
    ]
    rows += [(f"genotype: {place}", terms) for place, terms in Genotype.from_dict(summary["genotype"]).rows()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    define_run_flags(values, "runs/quickstart")


def main(values: flags.FlagValues) -> None:
    """Runs all stages, and prints the table."""
    config = load_config(QuickstartConfig, values.config_file, values.params_override)
    if not Path(config.detection_config).is_file():
        raise UsageError(f"detection_config must be a file. Received: {config.detection_config}")
    marks = sorted(set(values.model_dir) & set(PATTERN_MARKS))
    if marks:  # said before the first stage: TensorFlow and Model Garden would say it after four
        rule = f"model_dir must have none of {PATTERN_MARKS}, which TensorFlow reads as patterns"
        raise UsageError(f"{rule}. Received: {values.model_dir!r}")
    with RunDirectory(values.model_dir, config, KIND) as run:
        print(table(Quickstart(config, run.path, values.quiet, run.note).run()))


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return run_command(main, define_flags, argv)
