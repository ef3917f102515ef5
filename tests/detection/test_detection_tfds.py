"""COCO of TensorFlow Datasets: COCO's own category ids, its own annotation file, and no download."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from official.core import task_factory

from dartsminus_tf.foundation.config.yaml_text import dump_yaml
from dartsminus_tf.foundation.errors import UsageError
from detection.cli import detect
from detection.coco import metrics as coco_metrics
from detection.data import checks, samples, tfds_coco
from detection.model import evaluator, experiment
from detection.model import task as _task  # noqa: F401  registers the task


@pytest.fixture(scope="module")
def prepared(coco128, tmp_path_factory):
    """Six real validation images under TFDS' name and features of COCO: (data_dir, the annotations)."""
    coco = json.loads(next((coco128 / "annotations").glob("*val*.json")).read_text())
    images = coco["images"][:6]
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "image/id": np.int64,
            "objects": tfds.features.Sequence(
                {
                    "area": np.int64,
                    "bbox": tfds.features.BBoxFeature(),
                    "id": np.int64,
                    "is_crowd": np.bool_,
                    "label": tfds.features.ClassLabel(names=[c["name"] for c in coco["categories"]]),
                }
            ),
        }
    )
    data_dir = tmp_path_factory.mktemp("tfds")
    with tfds.core.registered.skip_registration():

        class Coco(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.1.0")
            BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2017", version="1.1.0")]

            def _info(self):
                return tfds.core.DatasetInfo(builder=self, features=features)

            def _split_generators(self, dl_manager):
                return {"validation": self._generate_examples()}

            def _generate_examples(self):
                for image in images:
                    yield image["id"], _example(image, coco, coco128 / "val2017")

    Coco(data_dir=data_dir, config="2017").download_and_prepare()
    kept = {image["id"] for image in images}
    return data_dir, [a for a in coco["annotations"] if a["image_id"] in kept], coco["categories"]


def _example(image, coco, folder) -> dict:
    width, height = image["width"], image["height"]
    objects = [
        {
            "area": int(a["area"]),
            "bbox": tfds.features.BBox(
                ymin=a["bbox"][1] / height,
                xmin=a["bbox"][0] / width,
                ymax=min((a["bbox"][1] + a["bbox"][3]) / height, 1.0),
                xmax=min((a["bbox"][0] + a["bbox"][2]) / width, 1.0),
            ),
            "id": a["id"],
            "is_crowd": bool(a["iscrowd"]),
            "label": [c["id"] for c in coco["categories"]].index(a["category_id"]),
        }
        for a in coco["annotations"]
        if a["image_id"] == image["id"]
    ]
    path = folder / image["file_name"]
    return {"image": str(path), "image/filename": path.name, "image/id": image["id"], "objects": objects}


def settings(saved_model, data_dir, **changes):
    read = {"tfds_name": "coco/2017", "tfds_data_dir": str(data_dir), "tfds_split": "validation"} | changes
    model = {"num_classes": 91, "input_size": [64, 64, 3], "max_level": 5}
    model["backbone"] = {"dartsminus": {"saved_model": saved_model}}
    data = read | {"global_batch_size": 4, "shuffle_buffer_size": 6}
    return {"task": {"model": model, "train_data": data, "validation_data": data}}


def test_the_ids_are_cocos(prepared):
    assert [category["id"] for category in prepared[2]] == tfds_coco.CATEGORY_IDS


def test_reading_training_and_evaluating(prepared, tiny_backbone, tmp_path):
    data_dir, annotations, _ = prepared
    params = experiment.build_experiment(settings(tiny_backbone, data_dir), str(tmp_path))
    labels = checks.check_data(params, True, str(tmp_path))
    written = labels.instances
    assert not list(tmp_path.iterdir())  # a check writes nothing
    assert params.task.annotation_file == str(tmp_path / "instances_validation.json")
    key = lambda a: (a["image_id"], a["category_id"], *np.round(a["bbox"], 0))  # noqa: E731
    assert sorted(a["category_id"] for a in written["annotations"]) == sorted(a["category_id"] for a in annotations)
    for ours, theirs in zip(sorted(written["annotations"], key=key), sorted(annotations, key=key), strict=True):
        np.testing.assert_allclose(ours["bbox"], theirs["bbox"], atol=0.5)
        assert ours["iscrowd"] == theirs["iscrowd"]

    task = task_factory.get_task(params.task)
    counts = evaluator.RecordingEvaluator(written)
    for _, labels in task.build_inputs(params.task.validation_data):
        truth = labels["groundtruths"]
        real = tf.cast(truth["classes"] > 0, tf.float32)
        counts.update_state(
            None,
            {
                "detection_boxes": truth["boxes"] * tf.tile(labels["image_info"][:, 2:3], [1, 1, 2]),
                "detection_scores": real,
                "detection_classes": truth["classes"],
                "num_detections": tf.cast(tf.reduce_sum(real, axis=1), tf.int32),
                "source_id": truth["source_id"],
                "image_info": labels["image_info"],
            },
        )
    counts.result()
    assert counts.last.metrics["ap"] == pytest.approx(1.0) and counts.last.images == 6
    batch = next(iter(task.build_inputs(params.task.train_data)))
    assert batch[0].shape == [4, 64, 64, 3]
    first = next(samples.data_samples(params.task.validation_data))
    assert set(first.truth.classes) <= set(tfds_coco.CATEGORY_IDS)
    assert coco_metrics.ground_truth(written).imgs[first.image_id]["width"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"tfds_name": "coco/2016"}, "tfds_name must be one of coco/2017"),
        ({"tfds_data_dir": "/nowhere"}, "not prepared; run: tfds build coco/2017"),
        ({"tfds_split": "nope"}, "tfds_split must be of"),
    ],
)
def test_what_is_not_there_is_refused_and_not_downloaded(prepared, tiny_backbone, tmp_path, changes, message):
    params = experiment.build_experiment(settings(tiny_backbone, prepared[0], **changes), str(tmp_path))
    with pytest.raises(UsageError, match=message):
        checks.check_data(params, True, str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_one_source_a_split(prepared, tiny_backbone):
    with pytest.raises(UsageError, match="input_path or tfds_name, not both"):
        experiment.build_experiment(settings(tiny_backbone, prepared[0], input_path="a*"))


def test_a_run_keeps_the_annotations_that_it_evaluates_against(prepared, tiny_backbone, tmp_path):
    tree, model_dir = settings(tiny_backbone, prepared[0]), tmp_path / "run"
    tree["task"]["model"] |= {"decoder": {"fpn": {"num_filters": 8}}, "head": {"num_convs": 1, "num_filters": 8}}
    tree["trainer"] = dict.fromkeys(("train_steps", "steps_per_loop", "summary_interval", "validation_interval"), 1)
    (tmp_path / "config.yaml").write_text(dump_yaml(tree))
    assert detect.run(["detect", f"--config_file={tmp_path / 'config.yaml'}", f"--model_dir={model_dir}"]) == 0
    written = (model_dir / "instances_validation.json").read_text()
    assert {entry["id"] for entry in json.loads(written)["annotations"]} == set(range(1, len(prepared[1]) + 1))
    assert detect.run(["detect", f"--model_dir={model_dir}", "--mode=eval"]) == 0
    assert (model_dir / "instances_validation.json").read_text() == written
    assert json.loads((model_dir / "result.json").read_text())["images_annotated"] == 6
