"""XLA is used where a config asks for it alone: Keras by itself would use it wherever a GPU is visible."""

from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf

from dartsminus_tf.analysis import skip_advantage
from dartsminus_tf.analysis.settings import SkipAdvantageSettings
from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.search.runner import build_search
from dartsminus_tf.spaces.find import find_genotype
from dartsminus_tf.train import runner
from tests.conftest import TINY_SEARCH


@pytest.fixture
def a_visible_gpu(monkeypatch):
    """TensorFlow lists a GPU, as far as Keras asks."""
    devices = [SimpleNamespace(device_type=kind, name=f"/physical_device:{kind}:0") for kind in ("CPU", "GPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: devices)


def search_of(xla: str) -> keras.Model:
    config = load_config(SearchConfig, overrides=[*TINY_SEARCH, f"runtime.xla={xla}"])
    return build_search(config, ImageData(config.data, 0))


def training_of(xla: str) -> keras.Model:
    data = ["data.image_size=16", "data.batch_size=8", "data.train_limit=64", "data.test_limit=32"]
    config = load_config(
        TrainConfig, overrides=[*data, "channels=2", "layers=3", "auxiliary_weight=0", f"runtime.xla={xla}"]
    )
    network = runner.build_configured(config, find_genotype(config.genotype).genotype, 10)
    return runner._build_training(config, network, None)


def residual_network_of(xla: str) -> keras.Model:
    settings = load_config(SkipAdvantageSettings, overrides=["channels=2", "blocks=1", f"runtime.xla={xla}"])
    return skip_advantage._model(settings, 0.5, 10, 1)


@pytest.mark.parametrize("build", [search_of, training_of, residual_network_of])
def test_nothing_is_compiled_unless_asked(a_visible_gpu, build):
    plain = keras.Sequential([keras.layers.Dense(1)])
    plain.compile("sgd", "mse")
    assert plain.jit_compile is True  # Keras' own choice here
    assert build("none").jit_compile is False
    assert build("step").jit_compile is True


def test_a_run_keeps_its_choice(tmp_path):
    first, other = (
        load_config(SearchConfig, overrides=[*TINY_SEARCH, f"runtime.xla={xla}"]) for xla in ("none", "step")
    )
    RunDirectory(tmp_path / "run", first).open().close()
    with pytest.raises(UsageError, match=r"runtime.xla \('none' -> 'step'\)"):
        RunDirectory(tmp_path / "run", other)
    with pytest.raises(UsageError, match="exclude each other"):
        load_config(SearchConfig, overrides=["runtime.xla=step", "runtime.deterministic=true"])
