"""Splits that are prepared, by half or wholly, and what a config says of them."""

import json
from types import SimpleNamespace
from unittest import mock

import pytest

from detection.data import examples


def params_of(out, train="train*.tfrecord", val="val*.tfrecord") -> SimpleNamespace:
    """As much of a config as the checks of data read."""
    data = [SimpleNamespace(tfds_name="", input_path=str(out / pattern)) for pattern in (train, val)]
    model, path = SimpleNamespace(num_classes=8), str(out / "instances_val.json")
    task = SimpleNamespace(train_data=data[0], validation_data=data[1], annotation_file=path, model=model)
    return SimpleNamespace(task=task)


def half_prepared(prepared, split: str, how: str) -> None:
    """Breaks a preparation off when one of the two shards is written."""
    real = examples.make_example

    def stops(image, *rest):
        if image["id"] == 2:
            raise KeyboardInterrupt
        return real(image, *rest)

    with mock.patch.object(examples, "make_example", stops), pytest.raises(KeyboardInterrupt):
        prepared.prepare(split, overwrite=True)
    status = prepared.out / f"status_{split}.json"
    if how == "killed":
        status.write_text(json.dumps(json.loads(status.read_text()) | {"state": "running", "end": None}))
    elif how == "without a trace":
        status.unlink()
        (prepared.out / f".{split}.journal.json").unlink()
