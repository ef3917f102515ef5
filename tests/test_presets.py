"""Presets: strict loading by name, and what is refused on one line."""

import numpy as np
import pytest

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.published.table import known_presets
from dartsminus_tf.spaces.mobilenet.published.naming import NAMINGS
from dartsminus_tf.spaces.mobilenet.published.presets import MobilePreset
from dartsminus_tf.spaces.preset import Preset, Source
from tests import torch_files as torch


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
        for module in ("sources", "load", "table"):
            monkeypatch.setattr(
                f"dartsminus_tf.pretrained.published.{module}.known_presets", lambda: {preset.name: preset}
            )
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
