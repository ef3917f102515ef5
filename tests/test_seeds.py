"""Several seeds from one command: their directories, their table, what is refused."""

import csv
import subprocess
import sys

import pytest

from dartsminus_tf.cli.search import parse_seeds
from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.config.typed import load_config
from dartsminus_tf.foundation.disk.tables import markdown
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.search.seeds import run_seeds, seed_rows
from dartsminus_tf.spaces.genotype import Genotype
from tests.conftest import ROOT, TINY_SEARCH

OVERRIDES = [*TINY_SEARCH, "space=nasbench201", "layers=1", "epochs=1", "steps_per_epoch=1"]
GENOTYPE = {
    "normal": [["skip_connect", 0], ["sep_conv_3x3", 1], ["dil_conv_5x5", 2], ["max_pool_3x3", 0]],
    "normal_concat": [2, 3],
    "reduce": [["avg_pool_3x3", 0], ["noise", 1], ["conv_7x1_1x7", 2], ["skip_connect", 0]],
    "reduce_concat": [2, 3],
}


def result(seed, accuracy, normal, seconds):
    skips = {"normal": normal, "reduce": 1}
    values = {"validation_accuracy": accuracy, "skip_connects": skips, "genotype": GENOTYPE, "seconds": seconds}
    return {"seed": seed, **values}


def search(*flags):
    command = [sys.executable, str(ROOT / "tools" / "search.py"), *flags]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return process.returncode, process.stdout, process.stderr.strip().splitlines()


def test_seeds_are_read():
    assert parse_seeds(["0", "7", "12"]) == [0, 7, 12]


@pytest.mark.parametrize("text", ["", "1,1", "-1", "1.5", "a", "0,", "2147483648", "99999999999", "1 2", "+1"])
def test_other_seeds_are_refused(text):
    with pytest.raises(UsageError, match="Received"):
        parse_seeds(text.split(","))


@pytest.mark.parametrize("flag", ["--seeds=0,x", "--seeds=0,0", "--seeds="])
def test_wrong_seeds_print_one_line_and_exit_2(flag, tmp_path):
    code, _, lines = search(flag, f"--model_dir={tmp_path / 'runs'}")
    assert code == 2 and len(lines) == 1 and "--seeds" in lines[0], lines
    assert not (tmp_path / "runs").exists()


def test_rows_by_hand():
    """Means over what was measured; the deviation is the sample's: of 0.5 and 0.7, 0.1 * sqrt(2)."""
    rows = seed_rows([result(0, 0.5, 1, 10.0), result(3, 0.7, 4, 20.0), result(4, None, 4, 30.0)])
    assert [row["seed"] for row in rows] == [0, 3, 4, "mean", "std"]
    assert rows[3]["validation_accuracy"] == pytest.approx(0.6)
    assert rows[4]["validation_accuracy"] == pytest.approx(0.1 * 2**0.5)
    assert (rows[3]["skips_normal"], rows[4]["seconds"], rows[3]["genotype"]) == (3, 10.0, None)
    lines = markdown(rows).splitlines()
    assert len(lines) == 7 and len({len(line) for line in lines}) == 1
    assert lines[5].split("|")[2].strip() == "0.6000" and lines[4].split("|")[2].strip() == "-"
    assert seed_rows([result(0, 0.5, 1, 10.0)])[-1]["validation_accuracy"] is None


def test_short_genotype():
    assert Genotype.from_dict(GENOTYPE).short == (
        "N skip:0 sep3:1 / dil5:2 max:0 R avg:0 noise:1 / conv_7x1_1x7:2 skip:0"
    )


@pytest.fixture(scope="module")
def seeds_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "seeds"
    return path, run_seeds(load_config(SearchConfig, overrides=OVERRIDES), path, [0, 5])


def test_every_seed_has_a_run_and_a_row(seeds_run):
    path, rows = seeds_run
    assert sorted(child.name for child in path.iterdir()) == ["seed_0", "seed_5", "seeds.csv", "seeds.md"]
    assert "seed: 5" in (path / "seed_5" / "config.yaml").read_text()
    assert (path / "seeds.md").read_text() == markdown(rows)
    table = list(csv.DictReader((path / "seeds.csv").open()))
    columns = ["seed", "validation_accuracy", "skips_cell", "genotype", "seconds"]
    assert list(table[0]) == columns and [row["seed"] for row in table] == ["0", "5", "mean", "std"]
    accuracies = [float(row["validation_accuracy"]) for row in table]
    assert accuracies[2] == pytest.approx((accuracies[0] + accuracies[1]) / 2)
    alphas = [(path / f"seed_{seed}" / "alphas" / "epoch_0000.npz").read_bytes() for seed in (0, 5)]
    assert alphas[0] != alphas[1]


def test_the_command_leaves_finished_seeds_alone_and_prints_the_table(seeds_run):
    path, _ = seeds_run
    stamps = [file.stat().st_mtime_ns for file in sorted(path.glob("seed_*/*")) if file.is_file()]
    overrides = [f"--params_override={override}" for override in OVERRIDES]
    code, out, _ = search("--seeds=0,5", f"--model_dir={path}", *overrides)
    assert code == 0 and out.endswith((path / "seeds.md").read_text())
    assert [file.stat().st_mtime_ns for file in sorted(path.glob("seed_*/*")) if file.is_file()] == stamps


def test_a_run_directory_is_refused(seeds_run):
    path, _ = seeds_run
    with pytest.raises(UsageError, match="seed_<n>"):
        run_seeds(load_config(SearchConfig, overrides=OVERRIDES), path / "seed_0", [1])
    assert not (path / "seed_0" / "seed_1").exists()


def test_a_search_that_cannot_be_leaves_nothing(tmp_path):
    config = load_config(SearchConfig, overrides=[*OVERRIDES, "data.batch_size=1000"])
    with pytest.raises(UsageError, match="batch_size"):
        run_seeds(config, tmp_path / "runs", [0, 1])
    assert not (tmp_path / "runs").exists()
