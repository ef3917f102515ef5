"""NAS-Bench-201: cells and their strings, supernet and network against a plain composition, the table, a search."""

import csv
import json
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.search.runner import run_search, summary
from dartsminus_tf.search.truth import true_result
from dartsminus_tf.spaces.nasbench201.genotype import EDGES, PRIMITIVES, BenchmarkGenotype, every_genotype
from dartsminus_tf.spaces.nasbench201.truth import ARCHITECTURE, COLUMNS, BenchmarkTable, load_table
from dartsminus_tf.spaces.torch_state import torch_slots
from dartsminus_tf.train.runner import run_training
from tests.conftest import ROOT, TINY_SEARCH, shared_folder

ALL_CONV = BenchmarkGenotype.of(["nor_conv_3x3"] * 6)
ALL_SKIP = BenchmarkGenotype.of(["skip_connect"] * 6)
MIXED = BenchmarkGenotype.of(["nor_conv_3x3", "none", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "none"])
OVERRIDES = [*TINY_SEARCH, "space=nasbench201", "layers=1"]


@pytest.fixture(scope="module")
def table_file(tmp_path_factory):
    """All cells, cell n having accuracies n / 200, n / 300 and n / 400."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([ARCHITECTURE, *COLUMNS.values(), "another column"])
        for n, genotype in enumerate(every_genotype()):
            writer.writerow([genotype.arch, n / 200, n / 300, n / 400, "x"])
    return path


def test_every_cell_reads_back():
    cells = list(every_genotype())
    assert len({cell.arch for cell in cells}) == 15_625
    for cell in cells[::97]:
        assert dm.Genotype.from_string(str(cell)) == dm.Genotype.from_json(cell.to_json()) == cell
        assert BenchmarkGenotype.of(cell.ops) == cell
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
    cell = dm.Genotype.from_string(text)
    assert str(cell) == text and cell.ops[2] == "avg_pool_3x3" and cell.ops[5] == "none"
    assert cell.count("nor_conv_3x3") == {"cell": 3} and cell.share("skip_connect") == pytest.approx(1 / 6)
    assert cell.short == "3x3 / 3x3 avg / skip 3x3 -"


@pytest.mark.parametrize(
    "text",
    [
        "|",
        "|nor_conv_3x3~0|",
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|skip_connect~3|",
        "|sep_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
        "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2",
        "|" * 300,
    ],
)
def test_malformed_arch_strings_give_one_line(text):
    with pytest.raises(UsageError, match="arch string"):
        dm.Genotype.from_string(text)
    with pytest.raises(UsageError):
        dm.Genotype.from_dict({"arch": text})


def test_derivation_takes_none_too():
    net = dm.build_supernet("nasbench201", channels=2, layers=1)
    net.build((1, 8, 8, 3))
    alpha = np.zeros((6, 5))
    alpha[np.arange(6), [0, 3, 4, 1, 2, 0]] = 1.0
    net.alphas["cell"].assign(alpha)
    assert net.genotype().ops == tuple(PRIMITIVES[k] for k in (0, 3, 4, 1, 2, 0))


def batch_norm(x):
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return (x - mean) / tf.sqrt(variance + 1e-5)


def plain_cell(cell, x, weights, beta):
    """The supernet's cell from single layers: o(x) = sum of weighted candidates + beta * x on every edge."""
    mixed, states = cell.mixed_edges, [x]
    for target in (1, 2, 3):
        total = 0.0
        for row, (source, node) in enumerate(EDGES):
            if node == target:
                x = states[source]
                total += weights[row, 1] * x + beta * x
                total += weights[row, 4] * tf.nn.avg_pool2d(x, 3, 1, "SAME")
                for k in (2, 3):
                    candidate = mixed.candidates[PRIMITIVES[k]]
                    kernel = tf.convert_to_tensor(candidate.kernel)[row]
                    y = tf.nn.conv2d(tf.nn.relu(x), kernel, 1, "SAME") + tf.convert_to_tensor(candidate.bias)[row]
                    total += weights[row, k] * batch_norm(y)
        states.append(total)
    return states[-1]


def test_cell_edge_by_edge():
    net = dm.build_supernet("nasbench201", channels=4, layers=1)
    net.build((2, 8, 8, 3))
    cell, x = net.skeleton.blocks[0], tf.random.normal([2, 8, 8, 4])
    weights = tf.nn.softmax(tf.random.normal([6, 5]))
    for beta in (0.0, 0.7):
        expected = plain_cell(cell, x, weights, beta)
        actual = cell.call([x], weights, beta, training=True)[-1]
        np.testing.assert_allclose(actual, expected, atol=2e-4)


@pytest.mark.parametrize("options", [{"partial_channels": 2, "edge_normalization": True}, {"auxiliary": "conv1"}])
def test_engine_options(options):
    net = dm.build_supernet("nasbench201", channels=4, layers=1, **options)
    net.build((2, 8, 8, 3))
    assert net(tf.random.normal([2, 8, 8, 3]), training=True).shape == (2, 10)


def test_network_by_hand():
    model = dm.build_network(MIXED, channels=2, layers=1)
    model.build((2, 8, 8, 3))
    cell, x = model.skeleton.blocks[0], tf.random.normal([2, 8, 8, 2])

    def conv(edge):
        return lambda x: batch_norm(
            tf.nn.conv2d(tf.nn.relu(x), tf.convert_to_tensor(cell.operations[edge].conv.kernel), 1, "SAME")
        )

    one = conv((0, 1))(x)
    two = tf.nn.avg_pool2d(one, 3, 1, "SAME")
    np.testing.assert_allclose(cell.call(x, training=True), x + conv((1, 3))(one), atol=1e-4)
    assert (1, 2) in cell.operations and two.shape == x.shape


def test_counts_of_known_cells():
    """The benchmark's own figures: 1.5315 M parameters and 220.12 M multiply-adds of the largest cell, 0.0733 M and
    7.78 M of the skips alone."""
    for genotype, parameters, multiply_adds in [(ALL_CONV, 1_531_546, 220.12e6), (ALL_SKIP, 73_306, 7.78e6)]:
        model = dm.build_network(genotype)
        model.build((1, 32, 32, 3))
        counted = dm.count(model)
        assert counted["parameters"] == parameters
        assert counted["multiply_adds"] == pytest.approx(multiply_adds, rel=1e-3)


def test_torch_names_of_a_network():
    model = dm.build_network(MIXED, channels=2, layers=1)
    model.build((1, 8, 8, 3))
    state = {name: np.ones(_torch_shape(slot)) for name, slot in torch_slots(model).items()}
    dm.load_torch_state(model, state)
    assert all(np.all(variable.numpy() == 1) for variable in model.variables)


def _torch_shape(slot):
    shape = slot.variable.shape
    return tuple(shape[axis] for axis in np.argsort({"conv": (2, 3, 1, 0), "linear": (1, 0)}.get(slot.layout, (0,))))


def test_options_that_the_benchmark_lacks():
    for options in ({"auxiliary": True}, {"drop_path": 0.2}, {"stem": "imagenet"}):
        with pytest.raises(UsageError, match=next(iter(options))):
            dm.build_network(MIXED, **options)
    with pytest.raises(UsageError, match="multiple of 4"):
        dm.build_network(MIXED).build((1, 30, 30, 3))
    with pytest.raises(UsageError, match="at least 1"):
        dm.build_network(MIXED, layers=0)


def test_table(table_file):
    table = load_table(table_file)
    cells = list(every_genotype())
    assert len(table) == 15_625
    assert table.accuracies(cells[300]) == {"cifar10": 1.5, "cifar100": 1.0, "imagenet16_120": 0.75}
    assert table.rank(cells[-1]) == 1 and table.rank(cells[0], "cifar100") == 15_625
    assert table.percentile(cells[0]) == 0.0
    assert table.percentile(cells[-1]) == pytest.approx(100 * 15_624 / 15_625)
    assert table.best("imagenet16_120") == (cells[-1], pytest.approx(15_624 / 400))
    ties = BenchmarkTable({cell.arch: np.array([5.0, 1.0, 1.0]) for cell in cells[:3]})
    assert [ties.rank(cell) for cell in cells[:3]] == [1, 1, 1] and ties.percentile(cells[0]) == 0.0
    with pytest.raises(UsageError, match="lacks this cell"):
        ties.accuracies(cells[9])


def test_the_real_table():
    path = shared_folder() / "data" / "nasbench201.csv"
    if not path.exists():
        pytest.skip(f"no table at {path}")
    table = load_table(path)
    assert len(table) == 15_625
    found = true_result(table, ALL_SKIP)
    assert found["true_accuracies"] == {"cifar10": 54.2967, "cifar100": 15.6067, "imagenet16_120": 16.3222}
    genotype, best = table.best()
    assert table.rank(genotype) == 1 and best == pytest.approx(94.37, abs=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lacks the columns"),
        (f"{ARCHITECTURE},{COLUMNS['cifar10']}\n", "lacks the columns CIFAR100"),
        (",".join([ARCHITECTURE, *COLUMNS.values()]) + "\n", "no rows"),
        (",".join([ARCHITECTURE, *COLUMNS.values()]) + "\nx,1,2,3\n", "arch string"),
        (",".join([ARCHITECTURE, *COLUMNS.values()]) + f"\n{ALL_SKIP},1,nan,3\n", "per cents"),
        (",".join([ARCHITECTURE, *COLUMNS.values()]) + f"\n{ALL_SKIP},1,2\n", "per cents"),
        (b"\xff\xfe\x00", "Cannot read"),
    ],
)
def test_wrong_tables_give_one_line(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=message) as error:
        load_table(path)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="does not exist"):
        load_table(tmp_path / "other.csv")


def test_the_public_package(tmp_path, monkeypatch):
    path = tmp_path / "NATS.pickle.pbz2"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "nats_bench", None)
    with pytest.raises(UsageError, match="pip install nats_bench"):
        load_table(path)

    class Api:
        def query_index_by_arch(self, arch):
            return 7 if arch == MIXED.arch else -1

        def get_more_info(self, index, dataset, iepoch=None, hp="12", is_random=True):
            assert (index, hp, is_random) == (7, "200", False)
            return {"test-accuracy": {"cifar10": 90.0, "cifar100": 70.0, "ImageNet16-120": 40.0}[dataset]}

    create = types.SimpleNamespace(create=lambda file, space, fast_mode, verbose: Api())
    monkeypatch.setitem(sys.modules, "nats_bench", create)
    assert load_table(path).accuracies(MIXED) == {"cifar10": 90.0, "cifar100": 70.0, "imagenet16_120": 40.0}


def test_search_follows_the_true_accuracy(table_file, tmp_path):
    config = load_config(SearchConfig, overrides=[*OVERRIDES, f"runtime.nasbench201_table={table_file}"])
    result = run_search(config, tmp_path / "run")
    genotype = dm.Genotype.from_dict(result["genotype"])
    table = load_table(table_file)
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert len(rows) == 2 and {"beta", "skip_share", "alpha_entropy"} <= set(rows[0])
    assert float(rows[-1]["true_cifar10"]) == pytest.approx(table.accuracies(genotype)["cifar10"], abs=1e-3)
    assert result["true_rank"]["cifar10"] == table.rank(genotype)
    assert result["skip_connects"] == genotype.count("skip_connect")
    assert genotype.arch in summary(result) and "imagenet16_120" in summary(result)


@pytest.mark.slow
def test_second_order_and_methods(tmp_path):
    for number, extra in enumerate((["order=second"], ["method=darts"])):
        config = load_config(SearchConfig, overrides=[*OVERRIDES, "epochs=1", *extra])
        assert run_search(config, tmp_path / str(number))["genotype"].keys() == {"arch"}


def test_what_does_not_go_together(table_file, tmp_path):
    other = load_config(SearchConfig, overrides=[*TINY_SEARCH, f"runtime.nasbench201_table={table_file}"])
    with pytest.raises(UsageError, match="nobody knows true accuracies there"):
        run_search(other, tmp_path / "run")
    stages = "progressive={stages: [{layers: 5, epochs: 1, num_candidates: 5}]}"
    with pytest.raises(UsageError, match="takes progressive=None alone"):
        load_config(SearchConfig, overrides=[*OVERRIDES, stages])
    assert not (tmp_path / "run").exists()


def test_a_missing_table_prints_one_line(tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "search.py"), "--nasbench201_table=nowhere.csv"]
    command += ["--params_override=space=nasbench201", f"--model_dir={tmp_path / 'run'}"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = process.stderr.strip().splitlines()
    assert process.returncode == 2 and len(lines) == 1 and "does not exist" in lines[0], process.stderr


def test_a_cell_is_trained_and_exported(tmp_path):
    overrides = ["genotype='" + MIXED.arch + "'", "channels=4", "layers=1", "auxiliary_weight=0", "drop_path=0"]
    overrides += ["epochs=1", "steps_per_epoch=2", "weights.nesterov=true", "runtime.verbose=0"]
    data = [value for value in TINY_SEARCH if value.startswith("data.")]
    result = run_training(load_config(TrainConfig, overrides=[*overrides, *data]), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["genotype"] == {"arch": MIXED.arch}
    from dartsminus_tf.pretrained.own.trained import load_trained

    network, _ = load_trained(tmp_path / "run")
    dm.export_backbone(network, tmp_path / "backbone")
    loaded = tf.saved_model.load(tmp_path / "backbone")
    x = tf.random.normal([2, 8, 8, 3])
    np.testing.assert_allclose(loaded.classify(x), network(x), atol=1e-5)
    assert {level: x.shape[-1] for level, x in loaded.serve(x).items()} == {"0": 4, "1": 8, "2": 16}
    manifest = json.loads((tmp_path / "backbone" / "manifest.json").read_text())
    assert manifest["space"] == "nasbench201" and manifest["parameters"] == result["parameters"]
