"""Damaged backbones and checkpoints, and places that cannot be: one line that names the file, exit code 2."""

import json
import random
import shutil

import numpy as np
import pytest
import tensorflow as tf
from fixture_backbone import TinyBackbone, save_backbone

from dartsminus_tf.foundation.disk.digests import folder_digests, sealed
from dartsminus_tf.foundation.errors import UsageError
from detection.cli import detect
from detection.model import backbone as backbone_lib
from detection.model import manifest

GRAPH, INDEX, DATA = "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"


def refused(capsys, *arguments) -> str:
    """Runs `detect`, which must fail; returns its one line."""
    assert detect.run(["detect", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert captured.out == "" and len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def flip(path, seed: int) -> None:
    content, draw = bytearray(path.read_bytes()), random.Random(seed)
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(content))


def cut(path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def replace_by_folder(path) -> None:
    path.unlink()
    path.mkdir()


# Backbones


@pytest.fixture(scope="module")
def sealed_backbone(tmp_path_factory):
    """A backbone whose manifest holds digests, as exports have them."""
    folder = tmp_path_factory.mktemp("sealed") / "backbone"
    save_backbone(folder)
    file = folder / "manifest.json"
    content = json.loads(file.read_text())
    file.unlink()
    file.write_text(json.dumps(sealed(content, file.name, folder_digests(folder))))
    return folder


@pytest.fixture
def exported(sealed_backbone, tmp_path):
    return shutil.copytree(sealed_backbone, tmp_path / "backbone")


@pytest.mark.parametrize("name", [GRAPH, INDEX, DATA, "fingerprint.pb"])
def test_flipped_bits_of_an_export_are_refused_before_tensorflow_reads_it(exported, name):
    whole = (exported / name).read_bytes()
    for seed in range(25):
        flip(exported / name, seed)
        with pytest.raises(UsageError, match=rf"another SHA-256.*: export it again .* Received: {exported / name}$"):
            manifest.read_manifest(str(exported))
        (exported / name).write_bytes(whole)
    manifest.read_manifest(str(exported))


@pytest.mark.parametrize("seed", range(25))
def test_a_flipped_bit_of_a_manifest_changes_nothing_silently(exported, seed):
    before = manifest.read_manifest(str(exported))
    flip(exported / "manifest.json", seed)
    try:
        after = manifest.read_manifest(str(exported))
    except UsageError as error:
        assert "manifest.json" in str(error)
    else:  # the key of the digests alone
        assert (after.channels, after.mean, after.std) == (before.channels, before.mean, before.std)


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
@pytest.mark.parametrize("name", [GRAPH, INDEX, DATA, "manifest.json"])
def test_cut_exports_are_refused(exported, name, share):
    cut(exported / name, share)
    with pytest.raises(UsageError, match=name.rpartition("/")[2]):
        manifest.read_manifest(str(exported))


@pytest.mark.parametrize("name", [INDEX, DATA, "fingerprint.pb"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), replace_by_folder], ids=["gone", "folder"])
def test_missing_files_of_an_export_are_named(exported, name, damage):
    damage(exported / name)
    with pytest.raises(UsageError, match=rf"manifest.json names is missing.* Received: {exported / name}$"):
        manifest.read_manifest(str(exported))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another one, of the same sizes."""
    folder = tmp_path_factory.mktemp("other") / "backbone"
    save_backbone(folder, seed=1)
    content = json.loads((folder / "manifest.json").read_text()) | {"metrics": {"test_accuracy": 0.9}}
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_text(json.dumps(sealed(content, "manifest.json", folder_digests(folder))))
    return folder


@pytest.mark.parametrize("names", [[DATA], [INDEX, DATA], [GRAPH], ["manifest.json"]], ids=lambda names: names[0])
def test_parts_of_two_exports_are_refused(exported, other, names):
    """As two exports to one place once left them: same sizes, other weights."""
    manifest.read_manifest(str(other))
    for name in names:
        shutil.copy(other / name, exported / name)
    with pytest.raises(UsageError, match="another SHA-256"):
        manifest.read_manifest(str(exported))


def test_an_edited_manifest_is_refused_with_the_way_out(exported):
    file = exported / "manifest.json"
    content = json.loads(file.read_text())
    content["preprocessing"]["mean"] = [0.1, 0.2, 0.3]
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="an edited one is read as it stands without its key 'digests'"):
        manifest.read_manifest(str(exported))
    del content["digests"]
    file.write_text(json.dumps(content))
    assert manifest.read_manifest(str(exported)).mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("name", [GRAPH, INDEX, DATA])
def test_damaged_exports_stop_the_command(capsys, exported, tmp_path, name):
    flip(exported / name, 0)
    (tmp_path / "config.yaml").write_text("{}")
    override = f"--params_override=task.model.backbone.dartsminus.saved_model={exported}"
    line = refused(capsys, f"--config_file={tmp_path / 'config.yaml'}", f"--model_dir={tmp_path / 'run'}", override)
    assert line.endswith(f"Received: {exported / name}") and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (GRAPH, lambda path: cut(path, 0)),
        (GRAPH, lambda path: cut(path, 0.5)),
        (GRAPH, lambda path: path.write_bytes(path.read_bytes().replace(b"backbone_trainable", b"backbone_trainablX"))),
        (GRAPH, lambda path: path.write_bytes(path.read_bytes().replace(b"Conv2D", b"Bonv2D"))),
        (GRAPH, lambda path: path.write_bytes(path.read_bytes().replace(b"serve", b"\xff\xfeerv"))),
        (INDEX, lambda path: flip(path, 0)),
        (DATA, lambda path: flip(path, 1)),
        (DATA, lambda path: cut(path, 0.5)),
        (DATA, lambda path: path.unlink()),
    ],
    ids=["empty", "half", "name", "operation", "text", "index", "data", "half the data", "no data"],
)
def test_damage_of_exports_without_digests_is_no_traceback(tiny_backbone, tmp_path, name, damage):
    folder = shutil.copytree(tiny_backbone, tmp_path / "backbone")
    damage(folder / name)
    try:
        found = backbone_lib.SavedModelBackbone(manifest.read_manifest(str(folder)), (64, 64))
    except UsageError as error:
        assert str(folder) in str(error) and "\n" not in str(error)
    else:
        assert name == GRAPH and len(found.trainable_weights) >= 10  # a name that nothing but a list of ours bears


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_backbone_that_is_not_finite_is_refused(tiny_backbone, tmp_path, value):
    module = TinyBackbone()
    module.variances[-1].assign(tf.fill(module.variances[-1].shape, value))
    tf.saved_model.save(module, str(tmp_path))
    shutil.copy(f"{tiny_backbone}/manifest.json", tmp_path)
    with pytest.raises(UsageError, match=rf"must be finite.* variance_4.* Received: '{tmp_path}'$"):
        backbone_lib.SavedModelBackbone(manifest.read_manifest(str(tmp_path)), (64, 64))
