"""The analyses on tiny searches: what they compute against outside references, what they write, the report."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import dartsminus_tf as dm
from dartsminus_tf.analysis import modes
from dartsminus_tf.analysis.compare import group_rows
from dartsminus_tf.analysis.drawing import draw
from dartsminus_tf.analysis.landscape import directions
from dartsminus_tf.analysis.restored import RestoredSearch
from dartsminus_tf.analysis.skip_advantage import WeighedBlock
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.search.hessian import AlphaHessian
from dartsminus_tf.search.history import SearchHistory, find_histories
from tests.conftest import ROOT, TINY_SEARCH

SEARCH = [*TINY_SEARCH, "space=nasbench201", "layers=1"]


def analyse(mode, directory, *run_dirs, overrides=()):
    settings = modes.settings_of(mode, [], overrides)
    return modes.run(mode, Request([str(run) for run in run_dirs], Path(directory), settings, [], list(overrides)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """DARTS and DARTS- on NAS-Bench-201, and what the analyses write about them."""
    path = tmp_path_factory.mktemp("analysis")
    line = analyse("methods", path, overrides=SEARCH)
    assert line == f"methods finished: {path / 'report.html'}"
    return path


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_methods_are_compared(runs):
    single = rows_of(runs / "methods.csv")
    assert [(row["method"], row["seed"]) for row in single] == [("darts", "0"), ("darts-", "0")]
    assert (runs / "methods.png").stat().st_size > 5000
    lines = (runs / "methods.md").read_text().splitlines()
    assert lines[2].startswith("| darts ") and lines[3].startswith("| darts- ")


def test_what_is_finished_stays(runs):
    stamps = {file: file.stat().st_mtime_ns for file in runs.rglob("result.json")}
    assert len(stamps) == 2
    analyse("methods", runs, overrides=SEARCH)
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("result.json")} == stamps


def test_history(runs):
    history = SearchHistory(runs / "darts-" / "seed_0", "x")
    weights = history.weights["cell"]
    assert weights.shape == (2, 6, 5) and np.allclose(weights.sum(axis=-1), 1)
    expected = [(weights[epoch].argmax(axis=-1) == 1).sum() for epoch in (0, 1)]
    assert history.dominant_skips().tolist() == expected
    assert [found.name for found in find_histories([str(runs)])] == ["darts/seed_0", "darts-/seed_0"]
    with pytest.raises(UsageError, match="No run directory"):
        find_histories([str(runs / "nothing")])


def test_group_rows_by_hand():
    rows = [{"run": "a/0", "seed": 0, "true_cifar10": 90.0, "skips": 2}, {"run": "a/1", "seed": 1, "skips": 4}]
    rows[1]["true_cifar10"] = 94.0
    assert group_rows({"a": rows}) == [
        {"group": "a", "seeds": 2, "true_cifar10": "92.00 +- 2.83", "skips": "3.00 +- 1.41", "worst_true_cifar10": 90.0}
    ]


def test_trajectories(runs):
    run = str(runs / "darts" / "seed_0")
    analyse("alpha", runs, run)
    table = rows_of(runs / "alpha_seed_0.csv")
    assert len(table) == 2 * 6 * 5 and {row["operation"] for row in table} >= {"none", "nor_conv_3x3"}
    by_edge = [float(row["weight"]) for row in table if row["epoch"] == "1" and row["edge"] == "5"]
    assert sum(by_edge) == pytest.approx(1, abs=1e-4)
    assert (runs / "alpha_seed_0_cell.png").exists() and (runs / "alpha_seed_0_summary.png").exists()


def test_drawings(tmp_path):
    genotype = dm.published_genotype("cifar10_s0_best")
    assert set(draw(genotype, tmp_path, "cell")) == {"normal", "reduce"}
    graph = genotype.graphs["normal"]
    assert len(graph.edges) == 8 and graph.edges[0] == (0, 2, "sep_conv_3x3") and graph.states[1] == "cell k-1"
    cell = dm.Genotype.from_string("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    assert cell.graphs["cell"].edges == ((0, 1, "nor_conv_3x3"), (1, 2, "skip_connect"), (2, 3, "skip_connect"))
    assert all(file.exists() for file in draw(cell, tmp_path, "benchmark").values())


@pytest.fixture(scope="module")
def restored(runs):
    return RestoredSearch(SearchHistory(runs / "darts-" / "seed_0", "x"))


def test_hessian_against_single_second_derivatives(restored):
    """The matrix against derivatives of single components of alpha's gradient; Lanczos against its eigenvalues."""
    hessian, net = AlphaHessian(restored.model), restored.model.supernet
    x, y = next(restored.batches(1))
    matrix = hessian.matrix(x, y)
    assert matrix.shape == (30, 30)
    largest = np.linalg.eigvalsh(matrix)[-1]
    assert hessian.largest_eigenvalue(x, y) == pytest.approx(largest, rel=0.01)
    alpha, kept = net.alphas["cell"], [variable.numpy() for variable in net.non_trainable_variables]
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            loss = restored.model.loss(y, net(x, training=True))
        gradient = tf.reshape(inner.gradient(loss, alpha.value), [-1])
        components = {index: gradient[index] for index in (3, 17)}
    for index, component in components.items():
        row = outer.gradient(component, alpha.value).numpy().reshape(-1)
        np.testing.assert_allclose(matrix[index], row, atol=0.01 * np.abs(matrix).max())
    for variable, value in zip(net.non_trainable_variables, kept, strict=True):
        variable.assign(value)


@pytest.mark.parametrize("lost", [[0], [1], [0, 1]])
def test_a_lost_alpha_moves_no_curve(runs, tmp_path, lost):
    shutil.copytree(runs / "darts-" / "seed_0", tmp_path / "run")
    for epoch in lost:
        (tmp_path / "run" / "alphas" / f"epoch_{epoch:04d}.npz").unlink()
    with pytest.raises(UsageError, match=f"lost alpha of epoch {lost[0]} .*epoch_000{lost[0]}.npz"):
        _ = SearchHistory(tmp_path / "run", "x").alphas


def test_spectra_of_every_checkpoint(runs):
    analyse("hessian", runs, runs / "darts" / "seed_0", overrides=["batches=2"])
    table = rows_of(runs / "hessian.csv")
    epochs = sorted({int(row["epochs"]) for row in table})
    assert epochs[-1] == 2 and [row["batch"] for row in table] == ["0", "1"] * len(epochs)
    assert all(float(row["largest"]) >= float(row["smallest"]) for row in table)
    assert len(rows_of(runs / "hessian_spectrum.csv")) == len(table) * 30


def test_directions_are_orthogonal_and_as_long_as_alpha():
    alphas = {"normal": np.random.normal(size=(14, 8)), "reduce": np.random.normal(size=(14, 8)) * 9}
    first, second = directions(alphas, seed=3)
    for kind, alpha in alphas.items():
        length = np.linalg.norm(alpha)
        assert np.linalg.norm(first[kind]) == pytest.approx(length)
        assert np.linalg.norm(second[kind]) == pytest.approx(length)
        assert abs(np.sum(first[kind] * second[kind])) < 1e-9 * length**2


def test_landscape(runs, restored):
    analyse("landscape", runs, runs / "darts-" / "seed_0", overrides=["points=3"])
    table = rows_of(runs / "landscape_seed_0.csv")
    assert len(table) == 9
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    batches = list(restored.batches(4))
    losses = [float(loss(y, restored.model.supernet(x, training=False))) * len(y) for x, y in batches]
    middle = next(row for row in table if float(row["u"]) == 0 and float(row["v"]) == 0)
    assert float(middle["loss"]) == pytest.approx(sum(losses) / sum(len(y) for _, y in batches), rel=1e-4)
    assert len({row["loss"] for row in table}) > 1


def test_weighed_block_by_hand():
    block = WeighedBlock(4, 1, initial=0.5, coefficients="free")
    block.build((None, 8, 8, 4))
    x = tf.random.normal([2, 8, 8, 4])
    branch = block.second(block.first(x, training=True), training=True)
    np.testing.assert_allclose(block(x, training=True), tf.nn.relu(0.5 * x + branch), atol=1e-5)
    soft = WeighedBlock(4, 2, initial=0.25, coefficients="softmax")
    soft.build((None, 8, 8, 4))
    np.testing.assert_allclose(soft.weights_of_branches(), [0.25, 0.75], rtol=1e-5)
    assert soft(x, training=True).shape == (2, 4, 4, 4)


def test_skip_advantage(runs):
    overrides = [value for value in TINY_SEARCH if value.startswith(("data.", "epochs", "steps", "runtime"))]
    overrides += ["channels=2", "blocks=1", "initial=[0, 1]"]
    analyse("skip_advantage", runs, overrides=overrides)
    table = rows_of(runs / "skip_advantage.csv")
    assert [(row["initial"], row["epoch"]) for row in table] == [(i, e) for i in ("0.0", "1.0") for e in "012"]
    assert float(table[0]["skip"]) == 0 and float(table[3]["skip"]) == 1 and float(table[2]["skip"]) != 0
    before = (runs / "skip_advantage" / "initial_1" / "result.json").stat().st_mtime_ns
    analyse("skip_advantage", runs, overrides=overrides)
    assert (runs / "skip_advantage" / "initial_1" / "result.json").stat().st_mtime_ns == before


def test_report_is_whole_and_self_contained(runs):
    """Runs last: every section so far is in the report, every figure is inside it, nothing is fetched."""
    page = (runs / "report.html").read_text()
    sections = re.findall(r'<section id="(\w+)">', page)
    assert sections[:1] == ["skip_advantage"] and {"methods", "alpha", "hessian", "landscape"} <= set(sections)
    assert page.count("<img ") == page.count("data:image/png;base64,") > 6
    assert not re.search(r'(src|href)="(https?:)?//', page) and "<script" not in page


def test_report_in_a_browser(tmp_path):
    """Headless Chromium shows every figure and has nothing to complain about."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    section = Section("cell", "Cells")
    for kind, path in draw(dm.published_genotype("cifar10_s0_best"), tmp_path, "cell").items():
        section.figure(path, kind)
    report = section.write(tmp_path)
    probe = (
        "<script>addEventListener('load', () => { document.title = 'shown ' + "
        "[...document.images].filter(image => image.complete && image.naturalWidth > 200).length; });</script>"
    )
    allowed = report.read_text().replace("default-src 'none'", "script-src 'unsafe-inline'")
    (tmp_path / "probe.html").write_text(allowed + probe)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [
        browser,
        *flags,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        f"file://{tmp_path}/probe.html",
    ]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "<title>shown 2</title>" in process.stdout, process.stdout[-500:] + process.stderr[-2000:]
    assert "CONSOLE" not in process.stderr, process.stderr


@pytest.mark.slow
def test_the_command(runs, tmp_path):
    tool = [sys.executable, str(ROOT / "tools" / "analyze.py")]
    good = [f"--run_dir={runs}", f"--model_dir={tmp_path / 'out'}", "--mode=compare"]
    process = subprocess.run([*tool, *good], capture_output=True, text=True, check=False)
    assert process.returncode == 0 and "compare finished" in process.stdout, process.stderr
    bad = subprocess.run([*tool, "--mode=alpha", "--run_dir=/nowhere"], capture_output=True, text=True, check=False)
    lines = bad.stderr.strip().splitlines()
    assert bad.returncode == 2 and len(lines) == 1 and "/nowhere" in lines[0], bad.stderr
