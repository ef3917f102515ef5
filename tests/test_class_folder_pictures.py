"""Pictures of class folders as people have them: turned, of all kinds, and those that make trouble."""

import contextlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dartsminus_tf.config import AugmentConfig, DataConfig, SearchConfig, TrainConfig
from dartsminus_tf.data import usable as usable_module
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.pictures import reading as pictures
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.loop.faults import data_faults
from dartsminus_tf.search import runner as search_runner
from dartsminus_tf.train import runner as train_runner
from tests.odd_pictures import BAD, PIXELS, SHOWN, encoded, fill, load, refusal, save_turned


def test_endings_in_any_case_and_what_is_passed_over_by_ending(tmp_path, capsys):
    forms = {".JPG": "JPEG", ".Jpeg": "JPEG", ".PNG": "PNG", ".webp": "WEBP", ".TIF": "TIFF", ".tiff": "TIFF"}
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for ending, form in {**forms, ".BMP": "BMP", ".gif": "GIF", ".PgM": "PPM", ".jfif": "JPEG"}.items():
            (tmp_path / label / f"x{ending}").write_bytes(encoded(form, np.full((9, 9, 3), 200, np.uint8)))
    for name in ("a.txt", "b.TXT", "c.heic", "README", "d.svg"):
        (tmp_path / "dog" / name).write_text("x")
    (tmp_path / "x.png").write_bytes(encoded())
    (tmp_path / "dog" / "linked").symlink_to(tmp_path / "cat")
    source = load(tmp_path)
    images = np.concatenate([split.arrays(9)[0] for split in (source.train, source.test)])
    assert images.shape == (20, 9, 9, 3) and np.abs(images.astype(int) - 200).max() <= 2
    said = capsys.readouterr().err
    named = ".heic 1, .svg 1, .txt 2, linked folder 1, without ending 1"
    assert f"passed over in {tmp_path}: 6 files that are no pictures by their ending: {named}\n" in said
    assert f"passed over 1 pictures that are in no class folder of {tmp_path}\n" in said


def test_all_eight_turns_are_undone_in_memory_and_streamed(tmp_path):
    shown = np.kron(SHOWN, np.ones((6, 4, 1), np.uint8))
    for folder in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / folder).mkdir(parents=True)
        for form in ("PNG", "WEBP", "TIFF"):
            for turn in range(1, 9):
                save_turned(tmp_path / folder / f"{form} {turn}.png", turn, form, shown)
    source = load(tmp_path)
    for split in (source.train, source.test):
        assert split.num_examples == 48 and (split.arrays(12)[0] == shown).all()
    config = {"image_size": 12, "center_crop": 1.0, "mean": (0,) * 3, "std": (1,) * 3}
    [(images, _)] = ImageData(DataConfig(name="folder", data_dir=str(tmp_path), **config), 0).test()
    assert images.shape[0] == 48 and (np.rint(images.numpy() * 255) == shown).all()


def test_a_turned_photograph_is_cropped_as_it_is_seen(tmp_path):
    """The crop that decodes a JPEG's window alone must not see the stored pixels."""
    shown = np.zeros((64, 96, 3), np.uint8)
    shown[:, :48] = 250
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(2):
            save_turned(tmp_path / label / f"{number}.jpg", 6, "JPEG", shown, quality=95)
    crop = AugmentConfig(random_resized_crop=0.99, crop_padding=0, flip=False)
    config = {"mean": (0,) * 3, "std": (1,) * 3, "image_size": 32, "batch_size": 2, "augment": crop}
    data = ImageData(DataConfig(name="folder", data_dir=str(tmp_path), **config), 0)
    images, _ = next(iter(data.train().from_step(0)))
    assert np.all(images[:, 4:-4, 3] > 0.9) and np.all(images[:, 4:-4, -3] < 0.1)


def test_plain_jpegs_and_pngs_reach_tensorflow_as_they_are(tmp_path):
    """Its pixels of a JPEG differ from Pillow's: those of a run must not change."""
    contents = [encoded("JPEG"), encoded("PNG"), encoded("JPEG", progressive=True), encoded("JPEG", exif=b"Exif\0\0MM")]
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number, content in enumerate(contents):
            (tmp_path / label / f"{number}.jpg").write_bytes(content)
    source = load(tmp_path)
    seen = [image.numpy() for split in (source.train, source.test) for image, _ in split.stream()]
    assert sorted(seen) == sorted(contents * 2)


def test_each_picture_that_makes_trouble_is_named_and_left_out(tmp_path, capsys):
    for folder in ("train/cat", "train/dog", "test/cat", "test/dog"):
        fill(tmp_path / folder, 2)
    reasons = {}
    for kind, (make, reason) in BAD.items():
        path = tmp_path / ("train" if len(kind) % 2 else "test") / "dog" / f"{kind}.jpg"
        make(path)
        reasons[str(path)] = reason.removeprefix("A picture cannot be used: ")
    source = load(tmp_path)
    assert set(source.left_out) == set(reasons) and (source.train.num_examples, source.test.num_examples) == (4, 4)
    assert all(reason in source.left_out[path] for path, reason in reasons.items())
    for split in (source.train, source.test):
        images, labels = split.arrays(8)
        assert sorted(labels) == [0, 0, 1, 1] and (images == PIXELS).all()
    said = capsys.readouterr().err
    assert all(f"data: left out: {path}: {reason}\n" in said for path, reason in source.left_out.items())
    assert f"data: pictures left out: {len(BAD)}\n" in said


def test_file_names_of_any_bytes(tmp_path, capsys):
    for label in ("cat", "dog"):
        fill(tmp_path / label, 4)
    for name in (b"\xe9.png", b"a\xff\xfe.jpg", b"new\nline.png", b"[1]*?.png", b"%20.png"):
        Path(os.fsdecode(os.fsencode(tmp_path / "dog") + b"/" + name)).write_bytes(encoded("PNG", PIXELS))
    bad = os.fsdecode(os.fsencode(tmp_path / "dog") + b"/bad\xe9\n.png")
    Path(bad).write_bytes(b"")
    source = load(tmp_path)
    assert source.train.num_examples + source.test.num_examples == 13 and list(source.left_out) == [bad]
    assert all((split.arrays(8)[0] == PIXELS).all() for split in (source.train, source.test))
    said = capsys.readouterr().err
    assert f"left out: {tmp_path}/dog/bad\\udce9\\n.png: it is empty\n" in said and said.encode("utf-8")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_of_bad_pictures_alone_is_refused(tmp_path, split):
    for label in ("cat", "dog"):
        for name in ("train", "test"):
            fill(tmp_path / name / label, 1)
    for label in ("cat", "dog"):
        (tmp_path / split / label / "0.png").write_bytes(b"")
    words = {"train": "No training picture of a class can be used", "test": "No picture of the test can be used"}
    assert words[split] in refusal(tmp_path)


def test_what_tensorflow_cannot_decode_is_read_by_pillow(tmp_path, monkeypatch):
    for label in ("cat", "dog"):
        fill(tmp_path / label, 4)
    monkeypatch.setattr(usable_module, "_decodable", lambda paths: set(range(1, len(paths))))
    source = load(tmp_path)
    assert source.left_out == {} and source.train.num_examples == 6
    assert sorted(image.numpy()[:2] for image, _ in source.train.stream()).count(b"BM") == 1
    assert (source.train.arrays(8)[0] == PIXELS).all()


def test_no_more_is_looked_at_than_a_limit_needs(tmp_path, monkeypatch):
    for label in ("cat", "dog"):
        fill(tmp_path / label, 20)
    looked, real = [], pictures.look
    monkeypatch.setattr(usable_module, "_CHUNK", 4)
    monkeypatch.setattr(pictures, "look", lambda path: looked.append(path) or real(path))
    source = load(tmp_path, train_limit=6, test_limit=3)
    assert (source.train.num_examples, source.test.num_examples, len(looked)) == (6, 3, 12)


@pytest.mark.parametrize("runner, config", [(search_runner, SearchConfig), (train_runner, TrainConfig)])
def test_a_run_keeps_the_names_of_what_it_does_without(tmp_path, monkeypatch, runner, config):
    for label in ("cat", "dog"):
        fill(tmp_path / "data" / label, 10)
    bad = tmp_path / "data" / "cat" / "bad.jpg"
    bad.write_bytes(encoded("JPEG")[:500])
    run = RunDirectory(tmp_path / "run", config_of(config, tmp_path / "data"))
    loop = lambda *_: contextlib.nullcontext((run, None))  # noqa: E731
    start = SimpleNamespace(scope=contextlib.nullcontext, loop=loop, begun=False)
    monkeypatch.setattr(runner, "Start", lambda run: start)
    for name in ("build_search", "_search", "build_configured", "_build_training", "_train"):
        monkeypatch.setattr(runner, name, lambda *_: {}, raising=False)
    (tmp_path / "run").mkdir()
    if runner is train_runner:
        runner.run_training(run.config, run.path)
    else:
        runner.run_single(run)
    kept = json.loads((tmp_path / "run" / "left_out.json").read_text())
    assert list(kept) == [str(bad)] and kept[str(bad)]
    usable_module.keep_left_out(run, {})  # once it is mended
    assert not (tmp_path / "run" / "left_out.json").exists()


def config_of(kind, data: Path):
    overrides = ["data.name=folder", f"data.data_dir={data}", "data.image_size=8", "data.batch_size=4"]
    return load_config(kind, overrides=[*overrides, *(["genotype=cifar10_s0_best"] if kind is TrainConfig else [])])


def test_a_picture_that_vanishes_later_is_named_where_it_is_met(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(4):
            (tmp_path / label / f"{number}.png").write_bytes(encoded("TIFF", PIXELS))
    source = load(tmp_path)
    (tmp_path / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"Received: .*cat/0\.png") as error, data_faults("the first step"):
        for split in (source.train, source.test):
            split.arrays(8)
    assert "it is empty" in str(error.value)
