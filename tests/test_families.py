"""The records of the families: entries that load, features and channels that are refused early, and old names."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import dartsminus_tf as dm
from dartsminus_tf.cli import quickstart
from dartsminus_tf.cli.flags import define_table_flag, search_overrides
from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import dump_config, load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.command import define_run_flags, parse_flags
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.spaces.families import FAMILIES, SPACES, family_of, register_family
from dartsminus_tf.spaces.family import FEATURES
from tests.conftest import ROOT

# Feature: an override that asks for it, and the option of `build_supernet` that does (None: of searches alone).
ASKED = {
    "conv1": ("auxiliary=conv1", {"auxiliary": "conv1"}),
    "partial_channels": ("partial_channels=4", {"partial_channels": 4}),
    "edge_normalization": ("edge_normalization=true", {"edge_normalization": True}),
    "skip_dropout": ("skip_dropout=0.3", {"skip_dropout": 0.3}),
    "progressive": ("progressive.stages=[{layers: 3, epochs: 20, num_candidates: 2}]", None),
    "flops": ("flops.target_mflops=300", None),
    "rematerialize": ("rematerialize=true", {"rematerialize": True}),
    "precision": ("precision=mixed_bfloat16", None),
    "init": ("init=efficientnet_lite0_imagenet", None),
    "distill": ("distill.teacher=efficientnet_lite0_imagenet", None),
}
LACKS = {
    "darts": {"flops", "precision", "init", "distill"},
    "nasbench201": {"progressive", "flops", "precision", "init", "distill"},
    "mobilenet": {"conv1", "partial_channels", "edge_normalization", "skip_dropout", "progressive"},
}


def test_every_entry_loads():
    for family in FAMILIES.values():
        entries = [family.supernet, family.network, family.torch_slots, family.derive_capped, family.truth]
        entries += [family.inherit, family.inherit_supernet, family.derive]
        assert all(callable(family.load(entry)) for entry in entries if entry)
        assert family.published is None or family.file(family.published).is_file()


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("family", LACKS)
def test_what_a_family_lacks_is_refused_everywhere(family, feature):
    space = FAMILIES[family].spaces[0].name
    override, options = ASKED[feature]
    option = FEATURES[feature][0]
    if feature in LACKS[family]:
        with pytest.raises(UsageError, match=f"Space {space} takes {option}=.* alone"):
            load_config(SearchConfig, overrides=[f"space={space}", override])
        if options:
            with pytest.raises(UsageError, match=f"Space {space} takes {option}=.* alone"):
                dm.build_supernet(space, **options)
    else:
        assert load_config(SearchConfig, overrides=[f"space={space}", override])


@pytest.mark.parametrize(
    ("space", "channels", "partial", "fits"),
    [
        ("s0", 6, 1, True),
        ("s0", 7, 1, False),
        ("s0", 12, 4, False),
        ("s0", 16, 4, True),
        ("nasbench201", 7, 1, True),
        ("nasbench201", 12, 4, True),
        ("nasbench201", 14, 4, False),
        ("mobilenet", 31, 1, True),
    ],
)
def test_one_rule_on_channels(space, channels, partial, fits):
    """DARTS cells halve their channels, so each part has an even number of them; elsewhere it has any."""
    overrides = [f"space={space}", f"channels={channels}", f"partial_channels={partial}"]
    if fits:
        load_config(SearchConfig, overrides=overrides)
        dm.build_supernet(space, channels=channels, partial_channels=partial)
        return
    with pytest.raises(UsageError, match="channels must be a multiple") as of_config:
        load_config(SearchConfig, overrides=overrides)
    with pytest.raises(UsageError, match="channels must be a multiple") as of_supernet:
        dm.build_supernet(space, channels=channels, partial_channels=partial)
    assert str(of_supernet.value) in str(of_config.value)


def test_a_wrong_space_costs_no_tensorflow():
    code = """
import sys
from dartsminus_tf.config import SearchConfig, load_config
from dartsminus_tf.foundation.errors import UsageError
for overrides in (["space=s99"], ["space=mobilenet", "partial_channels=2"]):
    try:
        load_config(SearchConfig, overrides=overrides)
    except UsageError as error:
        print(error)
sys.exit("tensorflow" in sys.modules or "keras" in sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    first, second = process.stdout.splitlines()
    assert first == f"Config key 'space': Unknown space; known are {', '.join(SPACES)}. Received: 's99'"
    assert second == "Config: Space mobilenet takes partial_channels=1 alone. Received: 2"


def test_old_names_of_the_table(tmp_path):
    new, old = (
        load_config(SearchConfig, overrides=["space=nasbench201", f"runtime.{name}=t.csv"])
        for name in ("accuracy_table", "nasbench201_table")
    )
    assert new == old and f"accuracy_table: {Path('t.csv').absolute()}" in dump_config(old)

    def define(values):
        define_run_flags(values, "run")
        define_table_flag(values)

    for name in ("accuracy_table", "nasbench201_table"):
        assert search_overrides(parse_flags(["search", f"--{name}=t.csv"], define)) == [
            'runtime.accuracy_table="t.csv"'
        ]
    (tmp_path / "config.yaml").write_text(dump_config(new).replace("accuracy_table", "nasbench201_table"))
    RunDirectory(tmp_path, new)


def test_a_section_is_for_its_family_alone(tmp_path):
    from dartsminus_tf.train.runner import run_training

    config = load_config(TrainConfig, overrides=["mobile.dropout=0.1", "data.name=no_such_set_9"])
    with pytest.raises(UsageError, match="mobile is for networks of another family"):
        run_training(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|", "genotype: cell output"),
        ("k3e6|k5e3|k3e3|k3e3|k3e3|k7e6", "genotype: layers layer 6"),
    ],
)
def test_quickstart_ends_with_the_table_of_any_space(text, row):
    genotype = dm.Genotype.from_string(text)
    numbers = {
        "search_accuracy": 0.5,
        "test_accuracy": 0.5,
        "parameters": 10,
        "multiply_adds": 20,
        "ap": 0.1,
        "ap50": 0.2,
    }
    lines = quickstart.table({**numbers, "genotype": genotype.to_dict(), "seconds": {"total": 1.0}}).splitlines()
    assert any(line.startswith(row) for line in lines)
    terms = {"genotype: cell output": "skip_connect(input) + nor_conv_1x1(node 2)"}.get(row, "ir_k7_e6(layer 5)")
    assert next(line for line in lines if line.startswith(row)).endswith(f"  {terms}")
    assert family_of(genotype).name in ("nasbench201", "mobilenet")


def test_a_table_may_have_its_old_name_in_a_file_and_its_new_one_in_an_override(tmp_path):
    (tmp_path / "config.yaml").write_text("space: nasbench201\nruntime: {nasbench201_table: old.csv, seed: 3}\n")
    for name in ("accuracy_table", "nasbench201_table"):
        config = load_config(SearchConfig, [tmp_path / "config.yaml"], [f"runtime.{name}=new.csv"])
        assert (config.runtime.accuracy_table, config.runtime.seed) == (str(Path("new.csv").absolute()), 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": frozenset({"rematerialise"})}, "features of family darts are of .*Received: 'rematerialise'"),
        ({"derive_capped": None}, "progressive and derive_capped go together"),
        ({"section": "own"}, "section and options go together"),
    ],
)
def test_a_record_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        replace(FAMILIES["darts"], **wrong)


def test_a_family_with_a_section_comes_before_the_configs():
    late = replace(FAMILIES["mobilenet"], name="late", spaces=())
    with pytest.raises(UsageError, match="come before dartsminus_tf.config"):
        register_family(late)
    assert "late" not in FAMILIES


@pytest.mark.slow
def test_space_and_family_mean_two_things(tmp_path):
    network = dm.build_network(dm.published_genotype("cifar10_s3_best"), channels=2, layers=3, stem="imagenet")
    network.build((1, 64, 64, 3))
    for space in ("s3", None):
        path = dm.export_backbone(network, tmp_path / f"of_{space}", space=space)
        manifest = json.loads((path / "manifest.json").read_text())
        assert (manifest["space"], manifest["family"], manifest["format_version"]) == (space, "darts", 1)


@pytest.mark.parametrize("name", ["quick [x]", "a,b", "what?", "*"])
def test_a_quickstart_says_at_once_where_it_cannot_be(name, tmp_path, capsys):
    config = f"--config_file={ROOT / 'configs' / 'quickstart.yaml'}"
    detection = f"--params_override=detection_config={ROOT / 'configs' / 'detect_digit_scenes.yaml'}"
    assert quickstart.run(["dartsminus-quickstart", config, detection, f"--model_dir={tmp_path / name}"]) == 2
    assert "which TensorFlow reads as patterns" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
