"""The commands that are attacked, in their tiniest configurations, and what each came to undisturbed."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from tests.conftest import TINY_SEARCH
from tests.detection.tiny_config import tiny_config
from tests.long import outcomes
from tests.long.commands import Ended, Zygote
from tests.long.subject import Subject

OFTEN = ["runtime.deterministic=true", "runtime.save_minutes=0.003", "runtime.verbose=0"]
SEARCH = [
    *TINY_SEARCH,
    *OFTEN,
    "data.train_limit=256",
    "space=nasbench201",
    "layers=1",
    "steps_per_epoch=12",
    "epochs=4",
]
TRAIN = [
    *OFTEN,
    *("genotype=cifar10_s0_best", "stem=imagenet", "channels=4", "layers=3", "auxiliary_weight=0", "drop_path=0.2"),
    *("data.image_size=32", "data.batch_size=8", "data.train_limit=64", "data.test_limit=32", "epochs=4"),
    *("data.augment.crop_padding=1", "data.augment.flip=false", "data.augment.cutout=0"),
]
STEPS = 12
TRAINER = {"train_steps": STEPS, "steps_per_loop": 1, "summary_interval": 1, "validation_interval": 6}
TRAINER |= {"checkpoint_interval": 3}
IMAGES, SHARDS = 24, 4


def overrides(texts: list[str]) -> list[str]:
    return [f"--params_override={text}" for text in texts]


class World(contextlib.ExitStack):
    """The subjects, their folders, and the processes that run them.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self._zygotes: dict[str, Zygote] = {}

    def run(self, subject: Subject, folder: Path, **options) -> Ended:
        """Run its command, which writes to `folder`; options are those of `Zygote.run`."""
        return self._zygote(subject).run([subject.module, *subject.flags(folder)], self.folder, **options)

    def _zygote(self, subject: Subject) -> Zygote:
        if subject.package not in self._zygotes:
            self._zygotes[subject.package] = self.enter_context(Zygote(subject.package, self.folder))
        return self._zygotes[subject.package]

    def whole(self, subject: Subject) -> Path:
        """The folder of an undisturbed run, which is made when it is first asked for."""
        folder = self.folder / f"whole {subject.name}"
        if not folder.exists():
            self._zygote(subject)  # its start is none of the run's time
            start = time.monotonic()
            ended = self.run(subject, folder)
            if ended.code:
                raise AssertionError(f"{subject.name} ended with {ended.code} undisturbed: {ended.said}")
            self.seconds[subject.name] = time.monotonic() - start
        return folder

    def expected(self, subject: Subject) -> object:
        """What it comes to undisturbed."""
        return subject.outcome(self.whole(subject))

    def copy(self, folder: Path) -> Path:
        """A new folder with the content of `folder`."""
        return Path(shutil.copytree(folder, self.new("copy"), symlinks=True))

    def new(self, name: str) -> Path:
        """The path of a new folder, the same at every call: the one before is removed."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return self.folder / name

    # The subjects

    @cached_property
    def search(self) -> Subject:
        return self._run("search", SEARCH, outcomes.of_search)

    @cached_property
    def train(self) -> Subject:
        return self._run("train", TRAIN, outcomes.of_training)

    def _run(self, name: str, texts: list[str], outcome: Callable) -> Subject:
        return Subject(
            name,
            f"dartsminus_tf.cli.{name}",
            lambda folder: [f"--model_dir={folder}", *overrides(texts)],
            outcome,
            lambda folder: (folder / "result.json").exists(),
        )

    def train_on(self, search: Callable[[Path], Path], place: Callable[[Path], Path]) -> Subject:
        """A short training of what a search found, both given by the folder that the subject is about."""
        small = [
            "channels=2",
            "layers=1",
            "data.image_size=8",
            "data.batch_size=8",
            "auxiliary_weight=0",
            "drop_path=0",
        ]
        small += ["epochs=1", "data.train_limit=32", "data.test_limit=16", "data.augment.cutout=0", *OFTEN]

        def flags(folder: Path) -> list[str]:
            return [f"--model_dir={place(folder)}", *overrides([*small, f"genotype={search(folder)}"])]

        outcome = lambda folder: outcomes.of_training(place(folder))  # noqa: E731
        return Subject("train", "dartsminus_tf.cli.train", flags, outcome)

    @cached_property
    def export(self) -> Subject:
        run = self.whole(self.train)
        return self.export_of(lambda folder: run, lambda folder: folder)

    def export_of(self, run: Callable[[Path], Path], place: Callable[[Path], Path]) -> Subject:
        """The export of a training run, both given by the folder that the subject is about."""
        return Subject(
            "export",
            "dartsminus_tf.cli.export",
            lambda folder: [f"--model_dir={run(folder)}", f"--export_dir={place(folder)}"],
            lambda folder: outcomes.of_export(place(folder)),
            lambda folder: (place(folder) / "manifest.json").exists(),
        )

    @cached_property
    def prepare(self) -> Subject:
        images, annotations = self._coco()
        flags = [f"--image_dir={images}", f"--annotations={annotations}", f"--num_shards={SHARDS}", "--num_workers=1"]
        return Subject(
            "prepare",
            "detection.cli.prepare_coco",
            lambda folder: [*flags, f"--output_dir={folder}", "--split_name=val"],
            outcomes.of_preparation,
        )

    def _coco(self) -> tuple[Path, Path]:
        folder, chance = self.folder / "coco", np.random.default_rng(0)
        folder.mkdir()
        entries = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 64} for n in range(1, IMAGES + 1)]
        for entry in entries:
            Image.fromarray(chance.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / entry["file_name"])
        boxes = [
            {
                "id": n,
                "image_id": n,
                "category_id": 1 + n % 2,
                "bbox": [4, 4, 20 + n, 30],
                "area": 30 * (20 + n),
                "iscrowd": 0,
            }
            for n in range(1, IMAGES + 1)
        ]
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        path = self.folder / "instances.json"
        path.write_text(json.dumps({"images": entries, "categories": categories, "annotations": boxes}))
        return folder, path

    @cached_property
    def detect(self) -> Subject:
        backbone, records = self.whole(self.export), self.whole(self.prepare)
        return self.detect_on(lambda folder: backbone, lambda folder: records, lambda folder: folder)

    def detect_on(self, backbone, records, place, outcome=outcomes.of_detector, steps: int = STEPS) -> Subject:
        """A training on an export and prepared data; all places by the folder that the subject is about."""

        def flags(folder: Path) -> list[str]:
            tree = tiny_config(str(backbone(folder)), records(folder)) | {"trainer": TRAINER | {"train_steps": steps}}
            tree["task"]["model"]["num_classes"] = 3
            tree["task"]["train_data"]["input_path"] = tree["task"]["validation_data"]["input_path"]
            config = self.folder / "detect.yaml"
            config.write_text(yaml.safe_dump(tree))
            return [f"--config_file={config}", f"--model_dir={place(folder)}"]

        return Subject("detect", "detection.cli.detect", flags, lambda folder: outcome(place(folder)))

    @cached_property
    def evaluate(self) -> Subject:
        return Subject(
            "evaluate",
            "detection.cli.detect",
            lambda folder: ["--mode=eval", f"--model_dir={folder}"],
            outcomes.of_evaluation,
        )

    @cached_property
    def compare(self) -> Subject:
        """An analysis of the search in a folder."""
        return Subject(
            "compare",
            "dartsminus_tf.cli.analyze",
            lambda folder: ["--mode=compare", f"--run_dir={folder}", f"--model_dir={folder / 'analysis'}"],
            lambda folder: outcomes.of_comparison(folder / "analysis"),
        )

    @cached_property
    def quickstart(self) -> Subject:
        detection = self.folder / "quickstart_detect.yaml"
        tree = tiny_config("", None) | {"trainer": TRAINER}
        tree["task"] |= {name: {"global_batch_size": 4} for name in ("train_data", "validation_data")}
        detection.write_text(yaml.safe_dump(tree))
        own = [text for text in TRAIN if not text.startswith("genotype=")]
        own_search = [*TINY_SEARCH, *OFTEN, "data.train_limit=256", "space=s3", "steps_per_epoch=6"]
        texts = [
            f"{stage}.{text}" for stage, stage_texts in (("search", own_search), ("train", own)) for text in stage_texts
        ]
        texts += ["scenes.num_train=8", "scenes.num_val=4", "scenes.canvas=64"]
        config = self.folder / "quickstart.yaml"
        config.write_text("search: {}\ntrain: {}\nscenes: {}\n" + yaml.safe_dump({"detection_config": str(detection)}))
        return Subject(
            "quickstart",
            "dartsminus_tf.cli.quickstart",
            lambda folder: [f"--config_file={config}", f"--model_dir={folder}", *overrides(texts)],
            outcomes.of_quickstart,
            lambda folder: (folder / "summary.json").exists(),
        )
