"""Data as users have them: odd images, odd boxes, damaged records. Counted, reported, and never a crash in an epoch."""

import io
import json
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory
from official.vision.dataloaders import tf_example_decoder
from PIL import ExifTags, Image
from tiny_config import tiny_config

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.pictures.reading import PictureError
from detection.coco import metrics as coco_metrics
from detection.coco.annotations import Labels, read_labels
from detection.data import checks, examples, samples
from detection.data.records import prepare_split
from detection.model import experiment
from detection.model import task as _task  # noqa: F401  registers the task
from detection.run import reporter
from detection.show import draw

COLOUR = (180, 90, 40)


def save_odd_images(folder) -> None:
    """1: grey JPEG, 2: CMYK JPEG, 3: palette PNG; all of one colour, 40 x 30 pixels."""
    plain = Image.new("RGB", (40, 30), COLOUR)
    plain.convert("L").save(folder / "1.jpg", quality=95)
    plain.convert("CMYK").save(folder / "2.jpg", quality=95)
    plain.quantize(4).save(folder / "3.jpg", format="PNG")


def decoded(folder, split="val") -> dict[int, dict]:
    files = sorted(str(p) for p in folder.glob(f"{split}-*.tfrecord"))
    decoder = tf_example_decoder.TfExampleDecoder()
    return {int(r["source_id"]): r for r in tf.data.TFRecordDataset(files).map(decoder.decode)}


def test_grey_cmyk_and_palette_images_become_rgb(coco_folder, tmp_path):
    images, coco, write = coco_folder
    save_odd_images(images)
    stats = prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    assert stats["images"] == 3 and stats["repairs"] == {}
    records = decoded(tmp_path / "out")
    for number in (1, 2, 3):
        pixels = records[number]["image"].numpy()
        expected = np.asarray(Image.open(images / f"{number}.jpg").convert("RGB"))
        assert pixels.shape == (30, 40, 3)
        assert np.abs(pixels.astype(int) - expected).mean() < 4
        np.testing.assert_array_equal(samples.read_image(images / f"{number}.jpg"), pixels)


def test_a_file_cut_short_or_of_noise_is_counted(coco_folder, tmp_path):
    images, coco, write = coco_folder
    whole = (images / "1.jpg").read_bytes()
    (images / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "2.jpg").write_bytes(b"\xff\xd8\xff" + bytes(range(256)) * 4)
    stats = prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    assert stats["repairs"] == {"image_unreadable": 2, "annotation_of_absent_image": 3}
    assert stats["images_without_boxes"] == 1 and stats["num_classes"] == 8  # ids 1 and 7: a gap stays a gap
    with pytest.raises(PictureError, match="2.jpg"):
        samples.read_image(images / "2.jpg")


def build(folder, saved_model, split="val", **data):
    """The task on one prepared split of the three-image folder, for training and for evaluation."""
    read = {"input_path": str(folder / f"{split}*.tfrecord")} | data
    tree = tiny_config(saved_model)
    tree["task"]["model"]["num_classes"] = 8
    tree["task"] |= {
        "annotation_file": str(folder / f"instances_{split}.json"),
        "train_data": read | {"global_batch_size": 1, "shuffle_buffer_size": 1},
        "validation_data": read | {"global_batch_size": 1},
    }
    params = experiment.build_experiment(tree)
    return params, task_factory.get_task(params.task)


def test_images_without_any_box_train(coco_folder, tmp_path, tiny_backbone):
    images, coco, write = coco_folder
    coco["annotations"] = []
    stats = prepare_split(str(images), write(coco), str(tmp_path), "val")
    assert stats["images_without_boxes"] == 3 and stats["boxes"] == 0
    params, task = build(tmp_path, tiny_backbone)
    model = task.build_model()
    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    batch = next(iter(task.build_inputs(params.task.train_data)))
    assert np.isfinite(float(task.train_step(batch, model, optimizer)["loss"]))
    truth = coco_metrics.ground_truth(read_labels(params.task.annotation_file).instances)
    assert coco_metrics.evaluate(truth, [], [1, 2, 3]).metrics["ap"] is None


def test_more_boxes_than_max_num_instances(coco_folder, tmp_path, tiny_backbone):
    """All of them are learned from, and evaluation counts them all: the limit pads what the reader hands on."""
    images, coco, write = coco_folder
    coco["annotations"] = [
        {"id": n + 1, "image_id": 1, "category_id": 7, "bbox": [8 * n, 3, 7, 9], "area": 63, "iscrowd": 0}
        for n in range(5)
    ]
    stats = prepare_split(str(images), write(coco), str(tmp_path), "val")
    assert stats["most_boxes_in_an_image"] == 5
    params, task = build(tmp_path, tiny_backbone, parser={"max_num_instances": 2})
    _, labels = next(iter(task.build_inputs(params.task.train_data)))
    matched = [
        tf.reshape(t, [-1, 4])[tf.reshape(c, [-1]) > 0]
        for t, c in zip(tf.nest.flatten(labels["box_targets"]), tf.nest.flatten(labels["cls_targets"]), strict=True)
    ]
    assert sum(m.shape[0] for m in matched) >= 5  # at least the best anchor of each box
    _, labels = next(iter(task.build_inputs(params.task.validation_data)))
    assert labels["groundtruths"]["boxes"].shape == [1, 2, 4]
    assert len(coco_metrics.ground_truth(read_labels(params.task.annotation_file).instances).anns) == 5


@pytest.fixture
def damaged(coco_folder, tmp_path):
    """Three records, of which the second's image is noise."""
    images, coco, write = coco_folder
    prepare_split(str(images), write(coco), str(tmp_path), "val")
    path = next(tmp_path.glob("val-*.tfrecord"))
    records = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset([str(path)])]
    records[1].features.feature["image/encoded"].bytes_list.value[0] = b"\xff\xd8\xff no image"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    return tmp_path


def test_a_damaged_record_is_left_out(damaged, tiny_backbone):
    params, task = build(damaged, tiny_backbone)
    seen = [int(labels["groundtruths"]["source_id"][0]) for _, labels in task.build_inputs(params.task.validation_data)]
    assert seen == [1, 3]
    training = iter(task.build_inputs(params.task.train_data))
    assert all(next(training)[0].shape == [1, 64, 64, 3] for _ in range(7))


def test_pictures_and_predictions_do_without_a_damaged_record(damaged, tiny_backbone):
    params, _ = build(damaged, tiny_backbone)
    assert [sample.image_id for sample in samples.data_samples(params.task.validation_data, 2)] == [1, 3]
    assert draw.contact_sheet([]).size == (1, 1)


def test_a_validation_without_any_batch_is_an_error(damaged, tiny_backbone, tmp_path):
    """Batches of 8 that hold a damaged record each are all skipped; the result before must not stand for this one."""
    params, _ = build(damaged, tiny_backbone)
    console = reporter.Reporter(params, tmp_path, Labels(), 0.3, io.StringIO())
    console.begin(tf.Variable(5), SimpleNamespace(coco_metric=SimpleNamespace(last=None)))
    with pytest.raises(UsageError, match="an image that can be read"):
        console.on_evaluation({})


def test_a_shard_of_another_size_than_its_manifest_says_is_refused(damaged, tiny_backbone):
    params, _ = build(damaged, tiny_backbone)
    with pytest.raises(UsageError, match="missing or cut short"):
        checks.check_data(params, True, "unused")


@pytest.mark.parametrize("content", ["", "[]", '{"files": 3}', '{"files": {}, "category_names": {"x": "y"}}'])
def test_a_damaged_manifest_is_refused(coco_folder, tmp_path, tiny_backbone, content):
    images, coco, write = coco_folder
    prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    params, _ = build(tmp_path / "out", tiny_backbone)
    (tmp_path / "out" / "stats_val.json").write_text(content)
    with pytest.raises(UsageError, match="manifest is damaged"):
        checks.check_data(params, True, "unused")


def test_splits_must_agree_on_their_categories(coco_folder, tmp_path, tiny_backbone):
    """Each split of an exporter that lists used categories alone is renumbered from 1 in its own way."""
    images, coco, write = coco_folder
    coco["categories"] = [{"id": 1, "name": "dog"}, {"id": 7, "name": "cat"}]
    prepare_split(str(images), write(coco), str(tmp_path / "out"), "train")
    coco["categories"].reverse()
    coco["categories"][0]["name"] = "bird"
    prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")
    params, _ = build(tmp_path / "out", tiny_backbone)
    checks.check_data(params, True, "unused")
    params.task.train_data.input_path = str(tmp_path / "out" / "train-*")
    with pytest.raises(UsageError, match="split 'train' in .* must call category 7 'bird'.*Received: 'cat'"):
        checks.check_data(params, True, "unused")


def test_a_file_that_holds_no_records_is_refused(damaged, tiny_backbone):
    params, _ = build(damaged, tiny_backbone)
    (damaged / "stats_val.json").unlink()  # as if the records were of another origin
    checks.check_data(params, True, "unused")
    path = next(damaged.glob("val-*.tfrecord"))
    for content in (b"text", b""):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="must match TFRecords that prepare_coco wrote"):
            checks.check_data(params, True, "unused")


@pytest.mark.parametrize("size, level", [([32, 32, 3], 7), ([0, 64, 3], 5), ([64, 64], 5), ([64, 64, 1], 5)])
def test_input_sizes_too_small_for_the_pyramid(tiny_backbone, size, level):
    with pytest.raises(UsageError, match="sides multiples of"):
        experiment.build_experiment(
            {
                "task": {
                    "model": {
                        "num_classes": 8,
                        "input_size": size,
                        "max_level": level,
                        "backbone": {"dartsminus": {"saved_model": tiny_backbone}},
                    }
                }
            }
        )


def prepare_until_the_third_image(arguments) -> None:
    real = examples.make_example

    def stops_at_the_third(image, *rest):
        if image["id"] == 3:
            raise KeyboardInterrupt
        return real(image, *rest)

    with mock.patch.object(examples, "make_example", stops_at_the_third), pytest.raises(KeyboardInterrupt):
        prepare_split(*arguments)


def test_an_interrupted_preparation_keeps_its_finished_shards(coco_folder, tmp_path):
    images, coco, write = coco_folder
    arguments = (str(images), write(coco), str(tmp_path / "out"), "val", 3)
    prepare_until_the_third_image(arguments)
    finished = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.tfrecord")}
    assert len(finished) == 2 and not (tmp_path / "out" / "stats_val.json").exists()
    stats = prepare_split(*arguments)
    assert len(stats["files"]) == 5 and sorted(decoded(tmp_path / "out")) == [1, 2, 3]
    for name, time in finished.items():
        assert (tmp_path / "out" / name).stat().st_mtime_ns == time  # kept, not written again
    assert [path.name for path in (tmp_path / "out").glob(".*")] == [".val.lock"]


def test_an_interrupted_preparation_of_other_images_begins_anew(coco_folder, tmp_path):
    """Else an image that came to be readable in between would shift all others under the shards that are kept."""
    images, coco, write = coco_folder
    arguments = (str(images), write(coco), str(tmp_path / "out"), "val", 2)
    first = (images / "1.jpg").read_bytes()
    (images / "1.jpg").unlink()
    prepare_until_the_third_image(arguments)
    (images / "1.jpg").write_bytes(first)
    prepare_split(*arguments)
    files = [str(p) for p in (tmp_path / "out").glob("val-*.tfrecord")]
    assert len(list(tf.data.TFRecordDataset(files))) == 3 and sorted(decoded(tmp_path / "out")) == [1, 2, 3]


def test_a_split_leaves_others_with_a_longer_name_alone(coco_folder, tmp_path):
    images, coco, write = coco_folder
    for split in ("val-mini", "val"):
        prepare_split(str(images), write(coco), str(tmp_path / "out"), split)
    assert prepare_split(str(images), write(coco), str(tmp_path / "out"), "val-mini")["skipped"]


@pytest.mark.parametrize("stated, size", [((30, 40), (30, 40)), ((40, 30), (40, 30)), ((7, 7), (30, 40))])
def test_a_photograph_on_its_side_is_turned_unless_its_annotations_are_not(coco_folder, tmp_path, stated, size):
    """Stored as 40 x 30 pixels, shown as 30 x 40: the entry's own size may say that its boxes are meant as stored."""
    images, coco, write = coco_folder
    picture = Image.new("RGB", (40, 30))
    picture.paste(COLOUR, (0, 0, 10, 10))  # top left as stored, top right as shown
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.save(images / "1.jpg", exif=exif, quality=95)
    coco["images"][0] |= dict(zip(("width", "height"), stated, strict=True))
    repairs = prepare_split(str(images), write(coco), str(tmp_path / "out"), "val")["repairs"]
    assert repairs.get("image_turned_upright", 0) == (stated != (40, 30))
    pixels = decoded(tmp_path / "out")[1]["image"].numpy()
    assert pixels.shape[:2] == size[::-1]
    corner = pixels[3, 3] if stated == (40, 30) else pixels[3, -4]
    assert np.abs(corner.astype(int) - COLOUR).max() < 12


def test_a_changed_byte_is_noticed(coco_folder, tmp_path):
    images, coco, write = coco_folder
    arguments = (str(images), write(coco), str(tmp_path / "out"), "val")
    prepare_split(*arguments)
    path = next((tmp_path / "out").glob("*.tfrecord"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match="another checksum"):
        prepare_split(*arguments)
    assert json.loads((tmp_path / "out" / "stats_val.json").read_text())["images"] == 3
