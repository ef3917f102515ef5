"""What a detector's run directory is, and which settings a call that names it means; no TensorFlow."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from dartsminus_tf.foundation.config.paths import absolute
from dartsminus_tf.foundation.config.settings import layered, lookup, nested, read_settings
from dartsminus_tf.foundation.disk.folders import require_place
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunKind, stored_settings
from detection.data.shards import absolute_patterns
from detection.model import manifest

GO_ON = "--mode=train_and_eval goes on from the newest one that is whole"
_NAMED = re.compile(r'^model_checkpoint_path: "([^"]+-\d+)"$', re.MULTILINE)
_BACKBONE = "task.model.backbone"
_DATA = ("train_data", "validation_data")
_PATTERNS = tuple(f"task.{data}.input_path" for data in _DATA)
PATHS = (
    f"{_BACKBONE}.dartsminus.saved_model",
    "task.annotation_file",
    "task.init_checkpoint",
    *(f"task.{data}.tfds_data_dir" for data in _DATA),
    *_PATTERNS,
)
_PLACES = ("task.annotation_file", *(f"task.{data}.tfds_data_dir" for data in _DATA), *_PATTERNS)  # see data.content
_WHAT_A_CHECKPOINT_HOLDS = ("task.model.", "runtime.mixed_precision_dtype", "trainer.optimizer_config.ema")


class PathKeys:
    """The keys that hold paths, for overrides; Model Garden's config says later which others there are."""

    def knows(self, names: Sequence[str]) -> bool:
        """Any key may be one of Model Garden's."""
        return True

    def holds_text(self, names: Sequence[str]) -> bool:
        """Whether the key holds a path, or patterns of paths."""
        return ".".join(names) in PATHS

    def renamed(self, settings: dict) -> dict:
        """No key has an old name."""
        return settings


def with_absolute_paths(settings: dict) -> dict:
    """`settings` with every path from the root on, `~` and `$VAR` replaced, see `foundation.config.paths`."""
    for key in PATHS:
        value = lookup(settings, key)
        if value and isinstance(value, str | list | tuple):
            new = absolute_patterns(value) if key in _PATTERNS else absolute(str(value))
            settings = layered(settings, nested(key.split("."), new))
    return settings


# A run may be made longer, or go on with other devices; anything else is another run.
DETECTOR = RunKind(
    file="params.yaml",
    free=("trainer.train_steps", "runtime.distribution_strategy", "runtime.num_gpus", *_PLACES),
    bound=(),
    seed="task.seed",
    as_now=with_absolute_paths,
    packages=("dartsminus_tf", "tensorflow", "tf_keras", "tf-models-official", "numpy", "pycocotools"),
)


def chosen_settings(
    model_dir: str, files: Sequence[str], overrides: Sequence[str], training: bool
) -> tuple[dict, dict | None]:
    """What a call asks for, and what the run in `model_dir` was started with; None where there is none.

    Args:
      model_dir: the run directory.
      files: config files, later ones win; without any, a call that does not train takes the run's own settings.
      overrides: `key.subkey=value`, which win over files.
      training: whether the run is to be started or gone on with.

    Raises:
      UsageError: nothing to train by, no trained run to use, unreadable settings, or no backbone.
    """
    saved = stored_settings(Path(model_dir), DETECTOR)
    if saved is not None:
        saved = with_absolute_paths(saved)
    if training and not files:
        raise UsageError("--config_file is required, e.g. configs/detect_digit_scenes.yaml. Received: nothing")
    if not training and (saved is None or not (Path(model_dir) / "checkpoint").is_file()):
        raise UsageError(f"--model_dir has no trained run; use --mode=train_and_eval first. Received: {model_dir!r}")
    chosen = with_absolute_paths(read_settings(files, overrides, PathKeys()))
    key = f"{_BACKBONE}.dartsminus.freeze_batch_norm"
    before = lookup(saved, key) if saved is not None else None
    if before is not None and lookup(chosen, key) is None:  # the run's choice, whatever the devices are now
        chosen = layered(chosen, nested(key.split("."), before))
    if not files:
        chosen = layered(saved, chosen)
    if lookup(chosen, f"{_BACKBONE}.type") in (None, "dartsminus"):
        manifest.read_manifest(lookup(chosen, f"{_BACKBONE}.dartsminus.saved_model") or "")
    return chosen, saved


def latest_checkpoint(model_dir: str) -> Path:
    """The run's latest checkpoint, without the endings of its files, as the file `checkpoint` names it.

    Raises:
      UsageError: it names none.
    """
    file = Path(model_dir) / "checkpoint"
    try:
        named = _NAMED.search(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        named, problem = None, f"it cannot be read: {error}"
    else:
        problem = "it is damaged"
    if named is None:
        raise UsageError(f"the file names no checkpoint ({problem}); {GO_ON}. Received: {str(file)!r}")
    return Path(model_dir) / named[1]


def export_folder(model_dir: str, export_dir: str | None) -> Path:
    """Where an export goes: `<export_dir>/<step>`, by default in the run directory.

    Raises:
      UsageError: no folder can appear there, or the run directory itself is named.
    """
    if export_dir is not None and Path(export_dir).resolve() == Path(model_dir).resolve():
        raise UsageError(f"--export_dir must not be the run directory itself; name another. Received: {export_dir!r}")
    folder = Path(export_dir or Path(model_dir) / "export") / latest_checkpoint(model_dir).name.rpartition("-")[2]
    require_place(folder, "--export_dir")
    return folder


def require_checkpoint_of(params: dict, saved: dict, model_dir: str) -> None:
    """Refuses settings with which the run's checkpoints mean something else.

    The detection generator (thresholds, suppression) holds nothing of a checkpoint: it may differ.

    Args:
      params: the resolved settings of a call that does not train.
      saved: the run's.
      model_dir: the run directory.

    Raises:
      UsageError: naming the keys that differ.
    """
    key = "task.model.detection_generator"
    compared = layered(params, nested(key.split("."), None))
    before = layered(saved, nested(key.split("."), None))
    DETECTOR.require_same(before, compared, Path(model_dir), _WHAT_A_CHECKPOINT_HOLDS)


def evaluation_folder(annotation_file: str, saved: dict, model_dir: str) -> str:
    """The run's own folder for its own validation data; data of other annotations must not overwrite its results."""
    if annotation_file == saved["task"]["annotation_file"]:
        return model_dir
    return os.path.join(model_dir, f"eval_{Path(annotation_file).stem}")
