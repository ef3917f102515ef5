"""What a detector's data hold, wherever they lie: by it a run that is taken up again knows its data."""

import os
from pathlib import Path

from official.core import config_definitions as cfg

from dartsminus_tf.foundation.disk.digests import file_digest
from dartsminus_tf.foundation.runs.content import described
from detection.coco.annotations import read_labels
from detection.data.shards import input_files


def content_of(params: cfg.ExperimentConfig) -> dict[str, str]:
    """{"annotations": ..., "train_data": ..., "validation_data": ...}, see `foundation.runs.content`.

    Records are known by their names and sizes, which `check_data` has compared with their manifest; a set of TFDS by
    its name, which bears its version.
    """
    annotations = params.task.annotation_file
    images = read_labels(annotations).num_images
    return {"annotations": described(images, "images", file_digest(Path(annotations)))} | {
        name: _records(getattr(params.task, name)) for name in ("train_data", "validation_data")
    }


def _records(data: cfg.DataConfig) -> str:
    if data.tfds_name:
        return described(1, "set", [data.tfds_name, data.tfds_split])
    files = [(os.path.basename(file), os.path.getsize(file)) for file in input_files(data.input_path)]
    return described(len(files), "files", files)
