"""`prepare_coco`: a COCO folder, or the embedded digit scenes, to TFRecords and evaluation annotations."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from dartsminus_tf.foundation.config.paths import define_path
from dartsminus_tf.foundation.errors import UsageError, require
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.progress import ProgressLine
from dartsminus_tf.foundation.runs.command import EXIT_DONE, EXIT_INPUTS_LEFT_OUT, run_command
from dartsminus_tf.foundation.runs.status import StatusFile
from detection.cli.environment import prepare_environment

_MODES = ("coco", "digit_scenes")


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    flags.DEFINE_enum("mode", "coco", _MODES, "Your own COCO folder, or the embedded set.", flag_values=values)
    define_path("output_dir", None, "Where TFRecords and JSON files go.", values)
    define_path("image_dir", None, "coco: folder of the images.", values)
    define_path("annotations", None, "coco: instances JSON.", values)
    flags.DEFINE_string("split_name", "train", "coco: prefix of the files written.", flag_values=values)
    flags.DEFINE_integer("num_shards", 1, "TFRecord files a split.", flag_values=values)
    flags.DEFINE_integer(
        "num_workers", os.cpu_count() or 1, "Images checked, and shards written, in parallel.", flag_values=values
    )
    flags.DEFINE_bool("overwrite", False, "Write anew what is there already.", flag_values=values)
    flags.DEFINE_bool("verify", False, "Read every image of a prepared split again, and compare.", flag_values=values)
    flags.DEFINE_integer("num_train", 600, "digit_scenes: training scenes.", flag_values=values)
    flags.DEFINE_integer("num_val", 60, "digit_scenes: validation scenes.", flag_values=values)
    flags.DEFINE_integer("canvas", 256, "digit_scenes: side of a scene in pixels.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "digit_scenes: seed.", flag_values=values)


def main(values: flags.FlagValues) -> int:
    """Prepares the split or the embedded set, and returns the exit code; see docs/detection.md."""
    if not values.output_dir:
        raise UsageError("--output_dir is required. Received: nothing")
    if values.verify and values.overwrite:
        raise UsageError("--verify and --overwrite exclude one another. Received: both")
    if values.mode == "digit_scenes":
        return _prepare_digit_scenes(values)
    for name in ("image_dir", "annotations"):
        if not values[name].value:
            raise UsageError(f"--{name} is required in --mode=coco. Received: nothing")
    if not values.split_name or os.sep in values.split_name:
        raise UsageError(f"--split_name must be a plain name. Received: {values.split_name!r}")
    return _prepare(values, values.image_dir, values.annotations, values.split_name)


def _prepare(
    values: flags.FlagValues, image_dir: str, annotations: str, split: str, begun: StatusFile | None = None
) -> int:
    from detection.data import records

    stats = records.prepare_split(
        image_dir,
        annotations,
        values.output_dir,
        split,
        values.num_shards,
        values.overwrite,
        values.num_workers,
        begun,
        values.verify,
    )
    done = f"already prepared, verified ({stats['verified']}); " if stats["skipped"] else ""
    notes = "".join(f"; {note}" for note in stats["notes"])
    left_out = records.images_left_out(stats)
    named = f", {left_out} images left out (named in stats_{split}.json)" if left_out else ""
    repairs = ", ".join(f"{name} {count}" for name, count in sorted(stats["repairs"].items())) or "none"
    say(
        f"{split}: {done}{stats['images']} images, "
        f"{stats['images_without_boxes']} without boxes, {stats['boxes']} boxes ({stats['crowd_boxes']} crowd), "
        f"at most {stats['most_boxes_in_an_image']} in an image, repairs: {repairs}{named}{notes}; "
        f"task.model.num_classes={stats['num_classes']}, annotations instances_{split}.json"
    )
    return EXIT_INPUTS_LEFT_OUT if left_out else EXIT_DONE


def _prepare_digit_scenes(values: flags.FlagValues) -> int:
    """All that can be refused is refused before the first scene is drawn."""
    from detection.data import digit_scenes, origin, records

    records.require_counts(values.num_shards, values.num_workers)
    options = digit_scenes.SceneOptions(canvas=values.canvas)
    numbers = {"train": values.num_train, "val": values.num_val}
    drawn = {}
    for split, number in numbers.items():
        require(number >= 1, f"--num_{split} must be at least 1", number)
        if values.verify:
            origin.require_prepared(values.output_dir, split)
        asked = (values.output_dir, split, number, values.seed, options)
        drawn[split] = not values.overwrite and digit_scenes.is_drawn(*asked)
    codes = []
    for split, number in numbers.items():
        status = None if drawn[split] else StatusFile(Path(values.output_dir), split)
        with status or contextlib.nullcontext():
            line = ProgressLine(f"{split}: drawing scenes", number)
            image_dir, annotations = digit_scenes.write_split(
                values.output_dir, split, number, values.seed, options, line.over, values.overwrite
            )
            codes.append(_prepare(values, image_dir, annotations, split, status))
    return max(codes)


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    prepare_environment()
    return run_command(main, define_flags, argv)
