"""A family of spaces and a data source from outside the package go through every command, as plugins alone."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import tensorflow as tf
import yaml

import dartsminus_tf as dm
from dartsminus_tf.config import DataConfig, SearchConfig
from dartsminus_tf.data.sources import SOURCES, load_source, register_source
from dartsminus_tf.foundation.config.entries import PLUGINS
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import registry
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.spaces import family_of, register_family
from dartsminus_tf.spaces.build import network_from_config
from dartsminus_tf.spaces.darts.space import _uniform
from dartsminus_tf.spaces.families import FAMILIES, SPACES
from dartsminus_tf.spaces.find import find_genotype
from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"
TOY = EXAMPLES / "toy_family"
TOY_LINES = 120  # of code and docstrings, in the whole folder
TOY_PLUGINS = "toy_family.family,stripes"
COMMANDS = ("search", "train", "export", "analyze", "quickstart")
PAGE = ROOT / "docs" / "extending.md"
SHOWN = ("toy_family/genotype.py", "toy_family/network.py", "toy_family/family.py", "stripes.py")
MODES = ("alpha", "cell", "compare")

STRIPES = "data.name=stripes,data.batch_size=16,data.train_limit=64,data.test_limit=32"
SEARCH = f"space=toy,epochs=2,steps_per_epoch=2,{STRIPES}"
PLAIN = "stem=imagenet,auxiliary_weight=0,drop_path=0"
TRAIN = f"{PLAIN},epochs=1,steps_per_epoch=2,{STRIPES}"
TEXT = "toy:sep_conv_3x3+skip_connect+sep_conv_3x3"

ANALYSE = """
import sys
from dartsminus_tf.cli.analyze import run
sys.exit(max(run(["analyze", f"--mode={mode}", *sys.argv[2:]]) for mode in sys.argv[1].split(",")))
"""


def start(*arguments, plugins=TOY_PLUGINS, path=EXAMPLES) -> subprocess.Popen:
    """A Python process that knows the plugins in folder `path`."""
    environment = os.environ | {PLUGINS: plugins, "PYTHONPATH": os.pathsep.join([str(ROOT), str(path)])}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(process: subprocess.Popen) -> str:
    """What the process printed; it must have succeeded."""
    out, errors = process.communicate()
    assert process.returncode == 0, out + errors
    return out


def tool(name: str, *arguments, **plugins) -> str:
    """Run `tools/<name>.py`, which must succeed."""
    return finished(start(ROOT / "tools" / f"{name}.py", *arguments, **plugins))


def refusal(name: str, *arguments, **plugins) -> str:
    """The line that `tools/<name>.py` refuses with."""
    process = start(ROOT / "tools" / f"{name}.py", *arguments, **plugins)
    out, errors = process.communicate()
    assert process.returncode == 2 and out == "", out + errors
    assert errors.startswith("error: ") and errors.count("\n") == 1, errors
    return errors


def changed(**values: str) -> str:
    return "--params_override=" + ",".join(f"{name}={value}" for name, value in values.items())


@contextmanager
def unchanged(*tables):
    """Registrations in these tables are undone at the end."""
    kept = [table.copy() for table in tables]
    yield
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before) if isinstance(table, dict) else table.extend(before)


@pytest.fixture(scope="module")
def toy():
    """The toy's record, in this process too; other tests do not see it."""
    with pytest.MonkeyPatch.context() as patch, unchanged(FAMILIES, SPACES, SOURCES, dm.Genotype._families):
        patch.syspath_prepend(str(EXAMPLES))
        import stripes
        from toy_family.family import TOY

        assert stripes.stripes_source is SOURCES["stripes"]
        yield TOY
        for name in [name for name in sys.modules if name.split(".")[0] in ("toy_family", "stripes")]:
            del sys.modules[name]


# Plugins


def plugin(folder, text: str) -> dict:
    (folder / "one.py").write_text(text)
    return {"plugins": "one", "path": folder}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_plugin_that_is_missing_is_one_line(tmp_path, name):
    line = refusal(name, f"--model_dir={tmp_path / 'run'}", plugins="json, no_such_plugin")
    assert line.startswith(f"error: A module of {PLUGINS} cannot be imported") and "'no_such_plugin'" in line
    assert not (tmp_path / "run").exists()


def test_a_plugin_that_registers_twice_is_one_line(tmp_path):
    text = "from dartsminus_tf.spaces import families, register_family\nregister_family(families.DARTS)\n"
    line = refusal("search", "--help", **plugin(tmp_path, text))
    assert line == "error: A family or space of that name is there already. Received: 's4'\n"


def test_a_plugin_may_import_all_that_spaces_are_made_of(tmp_path):
    text = "from dartsminus_tf.spaces import find, get_space, register_family\nprint(get_space('s0').name)\n"
    assert tool("search", "--help", **plugin(tmp_path, text)).startswith("s0\nusage: ")


def test_without_the_plugin_its_names_are_unknown():
    assert "Unknown space; known are s0," in refusal("search", changed(space="toy"), plugins="")


# The toy


def test_the_toy_is_short_and_nobody_else_knows_it():
    lines = [line for file in sorted(TOY.glob("*.py")) for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) <= TOY_LINES
    sources = [*(ROOT / "dartsminus_tf").rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    assert len(sources) > 100
    assert [file for file in sources if re.search(r"\b(toy|stripes)", file.read_text())] == []


def blocks_of_the_page() -> dict[str, list[str]]:
    """{heading: the Python blocks below it}"""
    found = {}
    for part in re.split(r"^#+ ", PAGE.read_text(), flags=re.M)[1:]:
        found[part.splitlines()[0].strip("`")] = re.findall(r"^```python\n(.*?)^```$", part, flags=re.M | re.S)
    return found


@pytest.mark.parametrize("file", SHOWN)
def test_the_page_shows_the_example(file):
    shown, written = "".join(blocks_of_the_page()[f"examples/{file}"]), (EXAMPLES / file).read_text()
    assert [line for line in shown.splitlines() if line] == [line for line in written.splitlines() if line]


def test_the_page_shows_all_of_the_example():
    written = {str(file.relative_to(EXAMPLES)) for file in TOY.glob("*") if file.is_file() and file.stat().st_size}
    assert written | {"stripes.py"} == set(SHOWN)


def test_the_page_names_files_that_are_there():
    names = re.findall(r"`((?:\w+/)+\w+\.(?:py|json|md))`", PAGE.read_text())
    assert len(names) > 30
    assert [name for name in names if not any((root / name).is_file() for root in (ROOT, ROOT / "dartsminus_tf"))] == []
    for link in re.findall(r"\]\(#([\w-]+)\)", PAGE.read_text()):
        assert link in {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in blocks_of_the_page()}


def test_the_operation_of_the_page():
    (block,) = blocks_of_the_page()["An operation"]
    with unchanged(registry._BUILDERS):
        exec(block, {})
        layer = registry.build_primitive("conv_3x3", 4, stride=2)
        assert layer(tf.zeros([1, 7, 8, 4])).shape == (1, 4, 4, 4)
        net = dm.build_supernet(_uniform("s5", "skip_connect", "conv_3x3"), channels=4, layers=3, num_classes=5)
        assert net(tf.zeros([1, 16, 16, 3])).shape == (1, 5)


def test_plugins_import_no_tensorflow():
    code = "import sys, dartsminus_tf.config, stripes\nsys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    finished(start("-c", code))


def test_genotypes(toy):
    genotype = dm.Genotype.from_string(TEXT)
    assert genotype.operations == {"chain": ("sep_conv_3x3", "skip_connect", "sep_conv_3x3")}
    for again in (
        dm.Genotype.from_json(genotype.to_json()),
        dm.Genotype.from_dict({"chain": list(genotype.chain)}),
        dm.Genotype.from_string(str(genotype)),
        find_genotype(TEXT).genotype,
    ):
        assert again == genotype and type(again) is toy.genotype
    assert find_genotype(genotype.to_json()).space == "toy" and family_of(genotype) is toy
    assert genotype.graphs["chain"].edges[1] == (1, 2, "skip_connect") and genotype.short == TEXT
    assert genotype.count("skip_connect") == {"chain": 1}
    with pytest.raises(UsageError, match="Not a genotype: neither .* nor toy:operation"):
        dm.Genotype.from_string("a chain")


@pytest.mark.parametrize("chain", [["skip_connect"] * 2, ["none"] * 3, 5, "skip_connect", [["x"]] * 3])
def test_malformed_genotypes_are_refused(toy, chain):
    with pytest.raises(UsageError, match="A toy's chain has 3 operations of sep_conv_3x3, skip_connect"):
        dm.Genotype.from_dict({"chain": chain})


def test_the_supernet(toy):
    assert dm.get_space("toy") is toy.spaces[0]
    net = dm.build_supernet("toy", num_classes=2)
    assert net(tf.zeros([2, 64, 64, 3])).shape == (2, 2)
    assert {kind: alpha.shape for kind, alpha in net.alphas.items()} == {"chain": (3, 2)}
    net.alphas["chain"].assign([[0.1, 0.0], [0.0, 0.1], [0.2, 0.2]])
    assert str(net.genotype()) == TEXT
    trainable = {id(v) for v in net.trainable_variables}
    assert trainable == {id(v) for v in [*net.weight_variables, *net.alpha_variables]}
    with pytest.raises(UsageError, match="Image sides must be multiples of 32"):
        dm.build_supernet("toy").build((None, 48, 48, 3))
    with pytest.raises(UsageError, match="layers is always 3"):
        dm.build_supernet("toy", layers=4)


def test_the_auxiliary_skip_counts_as_beta_says(toy):
    net, x = dm.build_supernet("toy"), tf.random.normal([2, 32, 32, 3])
    net.build((None, 32, 32, 3))
    outputs = []
    for beta in (0.0, 1.0):
        net.beta.assign(beta)
        outputs.append(net(x, training=True).numpy())
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_the_network_by_hand(toy):
    net = dm.build_network(dm.Genotype.from_string(TEXT), num_classes=2)
    net.build((None, 32, 32, 3))
    separable, reduce = 2 * (9 * 8 + 64 + 16), 64 + 16
    parameters = 7 * 7 * 3 * 8 + 16 + 2 * separable + reduce + 8 * 2 + 2
    adds = 64 * 8 * 147 + 16 * 2 * (72 + 64) + 4 * 64 + 1 * 2 * (72 + 64) + 16
    assert dm.count(net) == {"parameters": parameters, "multiply_adds": adds}
    outside = {id(v) for v in net.variables} - {id(v) for v in net.backbone_variables}
    assert outside == {id(v) for v in net.classifier.variables}


@pytest.mark.parametrize("again", [network_from_config, lambda config: family_class().from_config(config)])
def test_configs_of_networks(toy, again):
    net = dm.build_network(dm.Genotype.from_string(TEXT), channels=4, num_classes=3)
    assert again(net.get_config()).get_config() == net.get_config() | {"channels": 4, "num_classes": 3}


def family_class():
    return FAMILIES["toy"].load(FAMILIES["toy"].network)


@pytest.mark.parametrize(
    "override",
    [
        "auxiliary=conv1",
        "edge_normalization=true",
        "skip_dropout=0.1",
        "progressive.stages=[{layers: 3, epochs: 9, num_candidates: 2}]",
        "flops.target_mflops=1",
        "rematerialize=true",
        "precision=mixed_bfloat16",
        "channels=6,partial_channels=2",
    ],
)
def test_what_the_toy_lacks_is_refused(toy, override):
    with pytest.raises(UsageError, match="pace toy"):
        load_config(SearchConfig, overrides=["space=toy", override])
    assert load_config(SearchConfig, overrides=["space=toy,partial_channels=2"]).channels == 8


@pytest.mark.parametrize(
    "options", [{"stem": "cifar"}, {"auxiliary": True}, {"drop_path": 0.1}, {"layers": 2}, {"channels": 5}]
)
def test_what_its_networks_lack_is_refused(toy, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        dm.build_network(dm.Genotype.from_string(TEXT), **options)


def test_no_pytorch_names(toy):
    net = dm.build_network(dm.Genotype.from_string(TEXT))
    net.build((None, 32, 32, 3))
    with pytest.raises(UsageError, match="Nobody has written down the PyTorch names of family toy"):
        dm.load_torch_state(net, {})


def test_nothing_registers_twice(toy):
    with pytest.raises(UsageError, match="there already. Received: 'toy'"):
        register_family(toy)
    with pytest.raises(UsageError, match="there already. Received: 'stripes'"):
        register_source("stripes", "stripes:stripes_source")
    assert FAMILIES["toy"] is toy and callable(SOURCES["stripes"])


def test_stripes(toy):
    """Along a stripe a picture hardly changes: the labels say what the pictures show."""
    source = load_source(DataConfig(name="stripes", train_limit=100))
    for split, num_examples in ((source.train, 100), (source.test, 64)):
        pictures, labels = split.arrays(32)
        assert len(labels) == num_examples and abs(labels.mean() - 0.5) < 0.01
        down, across = (pictures.mean(axis=(axis, 3)).std(axis=1) for axis in (2, 1))
        assert np.array_equal(labels, across > down)


# Every command


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A search, a training, an export and three analyses, by the commands."""
    path = tmp_path_factory.mktemp("toy")
    lines = {"search": tool("search", f"--model_dir={path / 'search'}", f"--params_override={SEARCH}")}
    analyses = start("-c", ANALYSE, ",".join(MODES), f"--run_dir={path / 'search'}", f"--model_dir={path / 'analysis'}")
    trained = f"--params_override=genotype={path / 'search'},{TRAIN}"
    lines["train"] = tool("train", f"--model_dir={path / 'train'}", trained)
    lines["export"] = tool("export", f"--model_dir={path / 'train'}", f"--export_dir={path / 'backbone'}")
    lines["analyze"] = finished(analyses)
    return path, lines


def result_of(runs, name: str) -> dict:
    return json.loads((runs[0] / name / "result.json").read_text())


def test_search(runs):
    result = result_of(runs, "search")
    assert (result["space"], result["family"], result["epochs"]) == ("toy", "toy", 2)
    config = yaml.safe_load((runs[0] / "search" / "config.yaml").read_text())
    assert (config["channels"], config["layers"], config["data"]["name"]) == (8, 3, "stripes")
    with np.load(runs[0] / "search" / "alphas" / "epoch_0001.npz") as alphas:
        assert alphas["chain"].shape == (3, 2)
        strongest = [("sep_conv_3x3", "skip_connect")[k] for k in alphas["chain"].argmax(axis=-1)]
    assert result["genotype"] == {"chain": strongest}
    assert "search finished" in runs[1]["search"]


def test_train(runs):
    result = result_of(runs, "train")
    assert result["genotype"] == result_of(runs, "search")["genotype"] and result["space"] == "toy"
    assert result["class_names"] == ["horizontal", "vertical"] and result["data"] == "stripes"
    assert result["network"] == {"genotype": result["genotype"], "channels": 8, "num_classes": 2}


def test_export(runs, toy):
    backbone = runs[0] / "backbone"
    manifest = json.loads((backbone / "manifest.json").read_text())
    assert manifest["family"] == manifest["space"] == "toy" and manifest["image_size"] == [32, 32]
    assert manifest["levels"] == {level: {"channels": 8, "stride": 2 ** int(level)} for level in "345"}
    network, _ = load_trained(runs[0] / "train")
    loaded, images = tf.saved_model.load(str(backbone)), tf.random.normal([2, 96, 64, 3])
    expected, features = network.features(images, training=False), loaded.serve(images)
    assert {level: tuple(f.shape) for level, f in features.items()} == {
        "3": (2, 12, 8, 8),
        "4": (2, 6, 4, 8),
        "5": (2, 3, 2, 8),
    }
    for level, feature in features.items():
        np.testing.assert_allclose(feature, expected[level], atol=1e-5)
    np.testing.assert_allclose(loaded.classify(images), network(images, training=False), atol=1e-5)
    assert len(loaded.backbone_trainable) == len([v for v in network.backbone_variables if v.trainable])
    moving = loaded.backbone_non_trainable
    before = [variable.numpy() for variable in moving]
    loaded.train(images)
    assert all(np.abs(variable.numpy() - old).max() > 0 for variable, old in zip(moving, before, strict=True))


def test_analyses(runs):
    path = runs[0] / "analysis"
    page = (path / "report.html").read_text()
    assert [f'<section id="{mode}">' in page for mode in MODES] == [True] * len(MODES)
    names = {"alpha_search_chain.png", "cell_search_chain.png", "compare.png", "compare.csv"}
    assert names <= {file.name for file in path.iterdir()}
    chain = "+".join(result_of(runs, "search")["genotype"]["chain"])
    assert f"search: toy:{chain}" in page and [f"{mode} finished" in runs[1]["analyze"] for mode in MODES]


def test_a_command_refuses_what_the_toy_lacks(tmp_path):
    line = refusal("search", changed(space="toy", edge_normalization="true"), f"--model_dir={tmp_path / 'run'}")
    assert line == "error: Config: Space toy takes edge_normalization=False alone. Received: True\n"
    assert not (tmp_path / "run").exists()


# Detection on what was exported


DETECTOR = {"train_steps": 2, "steps_per_loop": 1, "summary_interval": 1, "validation_interval": 2}
SCENES = {"num_train": 8, "num_val": 4, "canvas": 128}


def detector(path, backbone: str, records=None) -> str:
    """The file of a tiny detector's settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests" / "detection"))
        from tiny_config import tiny_config
    tree = tiny_config(backbone, records)
    tree["task"]["train_data"] = tree["task"].get("train_data", {}) | {"global_batch_size": 4}
    tree["task"]["validation_data"] = tree["task"].get("validation_data", {}) | {"global_batch_size": 3}
    tree["trainer"] = DETECTOR | {"checkpoint_interval": 1}
    file = path / "detect.yaml"
    file.write_text(yaml.safe_dump(tree))
    return str(file)


@pytest.mark.slow
def test_detection(runs, tmp_path):
    scenes = [f"--{name}={value}" for name, value in SCENES.items()]
    tool("prepare_coco", "--mode=digit_scenes", f"--output_dir={tmp_path / 'scenes'}", *scenes)
    config = detector(tmp_path, str(runs[0] / "backbone"), tmp_path / "scenes")
    tool("detect", "--mode=train_and_eval", f"--config_file={config}", f"--model_dir={tmp_path / 'run'}")
    assert 0 <= json.loads((tmp_path / "run" / "result.json").read_text())["ap"] <= 1


@pytest.mark.slow
def test_quickstart(tmp_path):
    def nested(overrides: str) -> dict:
        return {name: yaml.safe_load(value) for name, value in (part.split("=") for part in overrides.split(","))}

    def section(overrides: str) -> dict:
        tree: dict = {"data": {}}
        for name, value in nested(overrides).items():
            (tree["data"] if name.startswith("data.") else tree)[name.removeprefix("data.")] = value
        return tree

    config = {"search": section(SEARCH), "train": section(TRAIN), "scenes": SCENES}
    config["detection_config"] = detector(tmp_path, "")
    file = tmp_path / "quickstart.yaml"
    file.write_text(yaml.safe_dump(config))
    out = tool("quickstart", f"--config_file={file}", f"--model_dir={tmp_path}/quick #1: o'neil {{x}}")
    assert "genotype: chain 1/32" in out and "detector: AP" in out
