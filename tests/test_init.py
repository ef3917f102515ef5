"""A network to start from: read from every kind of source, taken by place, and what a config takes over from it."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.config import TrainConfig, dump_config, load_config
from dartsminus_tf.foundation.disk.digests import folder_digests, sealed
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.described import describe
from dartsminus_tf.pretrained.init import read_init, take
from dartsminus_tf.pretrained.own.places import by_place, places_of
from dartsminus_tf.spaces.build import network_from_config
from tests.finished_run import flip
from tests.legacy.artefacts import arrays, pattern, unpack

RUNS = ("train_cell", "train_auxiliary", "train_nasbench201", "train_mobilenet")
CLASSIFIERS = {
    "train_cell": ["classifier"],
    "train_auxiliary": ["classifier", "auxiliary_head/classifier"],
    "train_nasbench201": ["skeleton/head/classifier"],
    "train_mobilenet": ["mobile_head/classifier"],
}
NEW = {name: {f"{layer}/{leaf}" for layer in held for leaf in ("kernel", "bias")} for name, held in CLASSIFIERS.items()}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Runs and an export of before there were digests."""
    folder = tmp_path_factory.mktemp("old")
    for name in (*RUNS, "backbone"):
        unpack(name, folder)
    return folder


def like(network, **changes):
    """A network of the same config but for `changes`, with new weights."""
    made = network_from_config(network.get_config() | changes)
    made.build((1, *network.image_size, 3))
    return made


@pytest.fixture
def mobile():
    """A small mobile network with random statistics, so that none is like another."""
    stages = dm.Genotype.from_string("k3e3,k3e3|k5e3,skip,k5e3|k3e3|k3e6|k3e3|k3e3")
    widths = {"widths": (8, 16, 16, 24, 24, 24), "stem_width": 16, "separable_width": 8, "head_width": 32}
    network = dm.build_network(stages, num_classes=3, padding="same", norm_epsilon=1e-3, **widths)
    network.build((1, 32, 32, 3))
    rng = np.random.default_rng(0)
    for variable in network.variables:
        variable.assign(rng.uniform(0.2, 1, variable.shape))
    return network


def equal(one, other, places) -> bool:
    one, other = places_of(one), places_of(other)
    return all(np.array_equal(one[place].numpy(), other[place].numpy()) for place in places)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_every_family_gives_all_but_a_classifier_of_other_classes(old, name):
    source = read_init(str(old / name)).network
    assert len(places_of(source)) == len(source.variables)
    other, rate = like(source, num_classes=4), int(source.drop_path_rate is not None)
    taken = take(source, other)
    assert set(taken.left) == NEW[name] and taken.taken == len(source.variables) - rate - len(NEW[name])
    assert equal(source, other, set(places_of(source)) - NEW[name] - {"drop_path_rate"})
    assert {v.path for v in other.classifier_variables} >= {places_of(other)[place].path for place in NEW[name]}
    assert not {id(v) for v in other.classifier_variables} & {id(v) for v in other.backbone_variables}
    line = taken.line("runs/a")
    assert line.startswith(f"init runs/a: {taken.taken} tensors taken, {len(NEW[name])} are new: ") and "\n" not in line


def test_the_classifier_too_where_the_classes_are_as_many(old):
    source = read_init(str(old / "train_nasbench201")).network
    same = like(source)
    assert take(source, same) == (len(source.variables), ()) and equal(source, same, places_of(source))


def test_an_export_gives_the_network_that_it_was_made_of(old):
    """One of old, whose `classify` gave these logits."""
    network = read_init(str(old / "backbone")).network
    logits = network(pattern(2, 64, 64, 3)).numpy().ravel()
    np.testing.assert_allclose(logits, arrays(old / "backbone.npz")["classify"], rtol=1e-5, atol=1e-5)
    run = read_init(str(old / "train_cell")).network
    assert equal(run, network, places_of(run))
    about = describe(str(old / "backbone"))
    assert (about.kind, about.network["num_classes"], len(about.class_names)) == ("export", 10, 10)


@pytest.mark.slow
def test_a_new_export_of_a_mobile_network_too(mobile, tmp_path):
    dm.export_backbone(mobile, tmp_path / "new", {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}, class_names=list("abc"))
    network = read_init(str(tmp_path / "new")).network
    x = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
    loaded = tf.saved_model.load(str(tmp_path / "new"))
    np.testing.assert_allclose(network(x).numpy(), loaded.classify(x).numpy(), rtol=1e-5, atol=1e-6)
    assert equal(mobile, network, places_of(mobile)) and network.preprocessing["std"] == [1, 2, 3]


def test_places_do_not_depend_on_what_a_process_has_made(mobile):
    assert list(places_of(like(mobile))) == list(places_of(mobile))
    assert by_place([("net_3/conv_12/kernel:0", 1), ("net_3/conv_9/kernel", 2), ("net_3/conv_10/bias", 3)]) == {
        "conv.2/kernel": 1,
        "conv/kernel": 2,
        "conv.1/bias": 3,
    }


def test_what_stands_elsewhere_is_not_taken(mobile, old):
    """Blocks of equal shape in other layers, other depths, other families."""
    before = like(mobile)
    stages = dm.Genotype.from_string("k3e3,k3e3|k5e3,k5e3,skip|k3e3|k3e6|k3e3|k3e3")
    shifted = network_from_config(before.get_config() | {"genotype": stages.to_dict()})
    shifted.build((1, 32, 32, 3))
    assert sorted(map(str, (v.shape for v in shifted.variables))) == sorted(str(v.shape) for v in mobile.variables)
    values = [v.numpy() for v in shifted.variables]
    cell = read_init(str(old / "train_cell")).network
    for source, target, message in (
        (mobile, shifted, "networks of its own genotype"),
        (cell, shifted, "networks of its own genotype"),
        (cell, like(cell, layers=5), "another stem, depth or width"),
        (cell, like(cell, stem="cifar"), "another stem, depth or width"),
    ):
        if message.startswith("networks") and source is mobile and _inherits(mobile):
            continue
        with pytest.raises(UsageError, match=message) as error:
            take(source, target)
        assert "Received" in str(error.value)
    assert all(np.array_equal(v.numpy(), value) for v, value in zip(shifted.variables, values, strict=True))


def _inherits(network) -> bool:
    """Whether the family cuts weights between genotypes, which its own tests check."""
    from dartsminus_tf.spaces.families import family_of

    return family_of(network.genotype).inherit is not None


def test_tensors_of_other_shapes_stay_new(mobile):
    wide = like(mobile, head_width=48)
    values = {place: v.numpy() for place, v in places_of(wide).items()}
    taken = take(mobile, wide)
    assert all(place.startswith("mobile_head/") for place in taken.left) and len(taken.left) == 6  # the last bias fits
    assert equal(mobile, wide, set(values) - set(taken.left))
    assert all(np.array_equal(places_of(wide)[place].numpy(), values[place]) for place in taken.left)


def test_damaged_and_foreign_sources_give_one_line(old, tmp_path):
    export = shutil.copytree(old / "backbone", tmp_path / "export")
    manifest = json.loads((export / "manifest.json").read_text())
    other = shutil.copytree(export, tmp_path / "other")
    changed = manifest | {"network": manifest["network"] | {"channels": 4}}
    (other / "manifest.json").write_text(json.dumps(changed))
    (export / "manifest.json").write_text(json.dumps(sealed(manifest, "manifest.json", folder_digests(export))))
    edited = shutil.copytree(export, tmp_path / "edited")
    (edited / "manifest.json").write_text((export / "manifest.json").read_text().replace("digits", "digitz"))
    flip(export / "variables" / "variables.data-00000-of-00001", 0)
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "text").write_text("weights")
    for text, message in (
        (export, "does not belong to the manifest.json"),
        (other, "variables of the export are not those of its network, such as"),
        (edited, "not what was written"),
        (empty, "neither a run nor an export"),
        (tmp_path / "absent", "no such preset, file or folder"),
        (tmp_path / "text", "no whole file of tensors"),
        ("efficientnet_lite9_imagenet", "no such preset, file or folder"),
        ("cifar10_s0_best", "genotype, for which there are no weights"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            read_init(str(text))
        assert "Received" in str(error.value) and "\n" not in str(error.value)


def config_of(*overrides: str) -> TrainConfig:
    return load_config(TrainConfig, overrides=overrides)


def test_a_preset_alone_is_enough():
    config = config_of("init=efficientnet_lite0_imagenet", "mobile.dropout=0.2", "epochs=3")
    assert config.genotype == {
        "stages": [
            ["ir_k3_e6"] * 2,
            ["ir_k5_e6"] * 2,
            ["ir_k3_e6"] * 3,
            ["ir_k5_e6"] * 3,
            ["ir_k5_e6"] * 4,
            ["ir_k3_e6"],
        ]
    }
    assert (config.stem, config.auxiliary_weight, config.drop_path, config.epochs) == ("imagenet", 0.0, 0.0, 3)
    mobile = config.mobile
    assert (mobile.widths, mobile.padding, mobile.norm_epsilon) == ((24, 40, 80, 112, 192, 320), "same", 1e-3)
    assert mobile.dropout == 0.2 and mobile.head_width == 1280
    assert config.data.mean == (127 / 255,) * 3 and config.data.std == (128 / 255,) * 3
    assert config.data.batch_size == 96 and config.data.augment.cutout == 16  # as without init


def test_what_a_config_says_stays(old):
    config = config_of(f"init={old}/train_auxiliary", "data.mean=[0,0,0]", "data.std=[1,1,1]", "drop_path=0.1")
    assert (config.channels, config.layers, config.stem) == (2, 3, "cifar") and config.drop_path == 0.1
    assert (config.auxiliary_weight, config.data.std, config.init) == (0.4, (1.0,) * 3, f"{old}/train_auxiliary")
    other = config_of(f"init={old}/train_cell", "channels=4", "auxiliary_weight=0.3", "genotype=cifar10_s0_best")
    assert (other.genotype, other.channels, other.stem, other.drop_path) == ("cifar10_s0_best", 4, "imagenet", 0.2)
    assert config_of().genotype == "cifar10_s0_best" and config_of().data.mean is None


def test_a_whole_config_needs_no_source(old, tmp_path):
    run = shutil.copytree(old / "train_nasbench201", tmp_path / "run")
    config = config_of(f"init={run}")
    (tmp_path / "whole.yaml").write_text(dump_config(config))
    shutil.rmtree(run)
    assert load_config(TrainConfig, [str(tmp_path / "whole.yaml")]) == config
    with pytest.raises(UsageError, match="no such preset, file or folder"):
        config_of(f"init={run}")
