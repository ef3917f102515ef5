"""The settings of a RetinaNet that trains in seconds: 64 pixels, 8 filters, the digit scenes."""

from pathlib import Path


def tiny_config(saved_model: str, records: Path | None = None) -> dict:
    """Nested settings, to be changed by the caller; with `records` also the data, 4 images a batch in training."""
    task = {
        "model": {
            "num_classes": 11,
            "input_size": [64, 64, 3],
            "max_level": 5,
            "backbone": {"dartsminus": {"saved_model": saved_model}},
            "decoder": {"fpn": {"num_filters": 8}},
            "head": {"num_convs": 1, "num_filters": 8},
        }
    }
    if records is not None:
        task |= {
            "annotation_file": str(records / "instances_val.json"),
            "train_data": {"input_path": str(records / "train*.tfrecord"), "global_batch_size": 4},
            "validation_data": {"input_path": str(records / "val*.tfrecord"), "global_batch_size": 3},
        }
    return {"task": task}
