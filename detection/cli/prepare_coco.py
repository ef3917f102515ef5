"""`prepare_coco`: a COCO folder, or the embedded digit scenes, to TFRecords and evaluation annotations."""

import os
from collections.abc import Sequence

from absl import flags

from dartsminus_tf.foundation.command import run_command
from dartsminus_tf.foundation.errors import UsageError
from detection.cli.environment import prepare_environment

_MODES = ("coco", "digit_scenes")


def define_flags(values: flags.FlagValues) -> None:
    """Defines this command's flags on `values`."""
    flags.DEFINE_enum("mode", "coco", _MODES, "Your own COCO folder, or the embedded set.", flag_values=values)
    flags.DEFINE_string("output_dir", None, "Where TFRecords and JSON files go.", flag_values=values)
    flags.DEFINE_string("image_dir", None, "coco: folder of the images.", flag_values=values)
    flags.DEFINE_string("annotations", None, "coco: instances JSON.", flag_values=values)
    flags.DEFINE_string("split_name", "train", "coco: prefix of the files written.", flag_values=values)
    flags.DEFINE_integer("num_shards", 1, "TFRecord files a split.", flag_values=values)
    flags.DEFINE_integer(
        "num_workers", os.cpu_count() or 1, "Images checked, and shards written, in parallel.", flag_values=values
    )
    flags.DEFINE_bool("overwrite", False, "Write anew what is there already.", flag_values=values)
    flags.DEFINE_integer("num_train", 600, "digit_scenes: training scenes.", flag_values=values)
    flags.DEFINE_integer("num_val", 60, "digit_scenes: validation scenes.", flag_values=values)
    flags.DEFINE_integer("canvas", 256, "digit_scenes: side of a scene in pixels.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "digit_scenes: seed.", flag_values=values)


def main(values: flags.FlagValues) -> None:
    """Prepares the split or the embedded set; see docs/detection.md."""
    if not values.output_dir:
        raise UsageError("--output_dir is required. Received: nothing")
    if values.mode == "digit_scenes":
        _prepare_digit_scenes(values)
        return
    for name in ("image_dir", "annotations"):
        if not values[name].value:
            raise UsageError(f"--{name} is required in --mode=coco. Received: nothing")
    if not values.split_name or os.sep in values.split_name:
        raise UsageError(f"--split_name must be a plain name. Received: {values.split_name!r}")
    _prepare(values, values.image_dir, values.annotations, values.split_name)


def _prepare(values: flags.FlagValues, image_dir: str, annotations: str, split: str) -> None:
    from detection.data.records import prepare_split

    stats = prepare_split(
        image_dir, annotations, values.output_dir, split, values.num_shards, values.overwrite, values.num_workers
    )
    repairs = ", ".join(f"{name} {count}" for name, count in sorted(stats["repairs"].items())) or "none"
    print(
        f"{split}: {'already prepared, verified; ' if stats['skipped'] else ''}{stats['images']} images, "
        f"{stats['images_without_boxes']} without boxes, {stats['boxes']} boxes ({stats['crowd_boxes']} crowd), "
        f"at most {stats['most_boxes_in_an_image']} in an image, repairs: {repairs}; "
        f"task.model.num_classes={stats['num_classes']}, annotations instances_{split}.json"
    )


def _prepare_digit_scenes(values: flags.FlagValues) -> None:
    from dartsminus_tf.foundation.progress import ProgressLine
    from detection.data import digit_scenes

    options = digit_scenes.SceneOptions(canvas=values.canvas)
    for split, number in (("train", values.num_train), ("val", values.num_val)):
        if number < 1:
            raise UsageError(f"--num_{split} must be at least 1. Received: {number}")
    for split, number in (("train", values.num_train), ("val", values.num_val)):
        line = ProgressLine(f"{split}: drawing scenes", number)
        image_dir, annotations = digit_scenes.write_split(
            values.output_dir, split, number, values.seed, options, line.over, values.overwrite
        )
        _prepare(values, image_dir, annotations, split)


def run(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    prepare_environment()
    return run_command(main, define_flags, argv)
