"""The table of presets: what is published of each, as the docs say it too; genotypes of the zoo among them."""

import math
from pathlib import Path

import keras
import numpy as np

import dartsminus_tf as dm
from dartsminus_tf.spaces.find import published

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pretrained.md"
# Published: parameters (torchvision, TensorFlow's own tables, the networks' code), multiply-adds in millions, top-1.
PUBLISHED = {
    "efficientnet_lite0_imagenet": (4_652_008, None, 75.1),
    "efficientnet_lite1_imagenet": (5_416_680, None, 76.7),
    "efficientnet_lite2_imagenet": (6_092_072, None, 77.6),
    "efficientnet_lite3_imagenet": (8_197_096, None, 79.8),
    "efficientnet_lite4_imagenet": (13_006_568, None, 81.5),
    "mobilenet_v2_0.35_imagenet": (1_677_128, 59, 60.3),
    "mobilenet_v2_0.5_imagenet": (1_968_680, 97, 65.4),
    "mobilenet_v2_0.75_imagenet": (2_636_424, 209, 69.8),
    "mobilenet_v2_1.0_imagenet": (3_504_872, 300, 71.8),
    "mobilenet_v2_1.3_imagenet": (5_386_792, 509, 74.4),
    "mobilenet_v2_1.4_imagenet": (6_108_776, 582, 75.0),
    "torchvision_mobilenet_v2_imagenet": (3_504_872, 300, 71.878),
    "timm_mobilenetv2_100_imagenet": (3_504_872, 300, 72.976),
    "proxyless_cpu_imagenet": (4_361_648, None, 75.3),
    "proxyless_gpu_imagenet": (7_119_848, None, 75.1),
    "proxyless_mobile_imagenet": (4_080_512, 320, 74.6),
}


def test_the_table_says_what_is_published():
    rows = {row["name"]: row for row in dm.presets()}
    assert set(rows) == set(PUBLISHED) | set(published())
    for name, (parameters, millions, top1) in PUBLISHED.items():
        row = rows[name]
        assert (row["parameters"], row["top1"]) == (parameters, top1)
        assert millions in (None, row["multiply_adds"] // 10**6)
        assert row["licence"] and row["source"]
        kind = "published file" if "file" in row["tested"] else "names and shapes"
        line = (
            f"| {row['licence']} | {top1} | {row['multiply_adds'] / 1e6:,.1f}M, {row['image_size']} | {parameters:,} |"
        )
        assert f"| `{name}` | {row['source']} {line} {'the ' * ('file' in kind)}{kind} |" in PAGE.read_text("utf-8")
    known = [name for name, row in rows.items() if row["tested"] == "on the published file"]
    assert known == [f"efficientnet_lite{number}_imagenet" for number in range(3)]


def test_images_are_normalised_as_their_publishers_do():
    pixels = np.array([0.0, 127.0, 255.0])
    for row in dm.presets()[: len(PUBLISHED)]:
        about, name = row["preprocessing"], row["name"]
        ours = [(pixels / 255 - mean) / std for mean, std in zip(about["mean"], about["std"], strict=True)]
        if name.startswith("efficientnet_lite"):
            expected = [(pixels - 127) / 128] * 3
        elif name.startswith("mobilenet_v2"):
            expected = [keras.applications.mobilenet_v2.preprocess_input(pixels.copy())] * 3
        else:
            rgb = zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
            expected = [(pixels / 255 - mean) / std for mean, std in rgb]
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_genotypes_of_the_zoo_are_presets_without_weights():
    rows = {row["name"]: row for row in dm.presets()}
    assert all(name in rows and rows[name]["top1"] is None for name in published())
    assert rows["cifar100_s0_best"]["parameters"] == published()["cifar100_s0_best"]["cifar100_C36_L20"][0]
    model = dm.from_preset("cifar100_s3_best", channels=4, layers=3)
    assert model.genotype == dm.published_genotype("cifar100_s3_best") and model.num_classes == 100 and model.built
    assert model.preprocessing is None and math.prod(model.image_size) == 32**2
