"""Results of finished runs: what is none, or not what was written, is refused in one line by all that read it."""

import json
import shutil
from types import SimpleNamespace

import pytest

from dartsminus_tf.cli.quickstart import Quickstart
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.results import RESULT, DetectResult, stored_result, write_result
from dartsminus_tf.pretrained.own.finished import finished_training
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.search.history import SearchHistory
from dartsminus_tf.spaces.find import find_genotype, published_genotype
from tests.finished_run import flip, refused

NO_RESULTS = {
    "nothing": "",
    "text": "no JSON",
    "half": '{"kind": "train", ',
    "list": "[]",
    "number": "3",
    "null": "null",
    "string": '"train"',
    "empty": "{}",
    "deep": "[" * 100_000,
    "nan": '{"kind": "train", "test_accuracy": NaN}',
    "infinite": '{"kind": "train", "more": 1e999}',
    "binary": b"\xff\xfe\x00",
}
WRONG = {
    "kind": "search",
    "genotype": [1],
    "network": {"genotype": {}},
    "image_size": 0,
    "class_names": ["a", 1],
    "preprocessing": {"mean": [0, 0], "std": [1, 1, 1]},
    "test_accuracy": "0.5",
    "test_top5_accuracy": 1.5,
    "test_loss": None,
    "parameters": -1,
    "multiply_adds": 1.5,
    "seconds": True,
    "data": 3,
}


@pytest.mark.parametrize("content", NO_RESULTS.values(), ids=NO_RESULTS.keys())
def test_what_is_no_result_is_refused(run, capsys, content):
    (run / RESULT).write_bytes(content if isinstance(content, bytes) else content.encode())
    line = refused(capsys, run)
    assert line.endswith(f"Received: {run / RESULT}\n")
    assert "delete it and give the command that made the run again" in line


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("key", WRONG)
def test_a_result_with_a_wrong_or_missing_key_is_refused(old, tmp_path, capsys, key, missing):
    """Without digests: the values alone say it."""
    path = shutil.copytree(old, tmp_path / "run")
    result = json.loads((path / RESULT).read_text())
    result = {name: result[name] for name in result if name != key} if missing else result | {key: WRONG[key]}
    (path / RESULT).write_text(json.dumps(result))
    line = refused(capsys, path)
    assert key in line and line.endswith(f"Received: {path / RESULT}\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [("test_accuracy", 0.9375), ("test_loss", 0.1), ("class_names", list("abcdefghij")), ("note", "mine"), ("seed", 1)],
)
def test_an_edited_result_is_refused(run, capsys, key, value):
    result = json.loads((run / RESULT).read_text())
    (run / RESULT).write_text(json.dumps(result | {key: value}))
    assert "not what was written" in refused(capsys, run)


@pytest.mark.parametrize("seed", range(25))
def test_a_flipped_bit_of_a_result_changes_nothing_silently(run, seed):
    before = finished_training(run).result
    flip(run / RESULT, seed)
    try:
        after = finished_training(run).result
    except UsageError as error:
        assert str(error).endswith(f"Received: {run / RESULT}")
    else:  # a blank, a time, or the key of the digests, without which it is as old as they are
        kept = [key for key in before if key not in ("seconds", "digests")]
        assert {key: after[key] for key in kept} == {key: before[key] for key in kept}


@pytest.mark.parametrize(
    "network",
    [{"layers": 2}, {"stem": "x"}, {"bogus": 1}, {"channels": "x"}, {"genotype": {"normal": []}}, {"channels": -3}],
)
def test_a_result_that_describes_no_network_is_refused(old, tmp_path, network):
    path = shutil.copytree(old, tmp_path / "run")
    result = json.loads((path / RESULT).read_text())
    result["network"] |= network
    result["genotype"] = result["network"]["genotype"]
    (path / RESULT).write_text(json.dumps(result))
    with pytest.raises(UsageError, match=rf"describes no network .* Received: {path / RESULT}$"):
        load_trained(path)


# Of searches and detectors

SEARCH = {
    "kind": "search",
    "space": "s0",
    "genotype": published_genotype("cifar10_s0_best").to_dict(),
    "validation_accuracy": 0.5,
    "train_accuracy": 0.5,
    "epochs": 3,
    "genotype_epoch": 2,
    "true_accuracies": {"cifar10": 93.5},
    "seconds": 1.0,
}


@pytest.fixture
def search(tmp_path):
    """What a search leaves, as far as a genotype and its history are read from it."""
    path = tmp_path / "search"
    (path / "alphas").mkdir(parents=True)
    (path / "metrics.csv").touch()
    (path / "genotype.json").write_text(json.dumps(SEARCH["genotype"]))
    write_result(path, SEARCH)
    return path


READERS = {
    "genotype=": lambda path: find_genotype(str(path)),
    "analyze": lambda path: SearchHistory(path, "a").result,
    "quickstart": lambda path: Quickstart(SimpleNamespace(), path.parent)._summary(),
}
BROKEN_SEARCH = {
    **{f"no {key}": {key: None} for key in ("kind", "genotype", "epochs", "seconds")},
    "another kind": {"kind": "train"},
    "accuracy": {"validation_accuracy": 50.0},
    "text": {"validation_accuracy": "0.5"},
    "epoch": {"genotype_epoch": 3},
    "negative epoch": {"genotype_epoch": -1},
    "true accuracy": {"true_accuracies": {"cifar10": 935}},
    "list": {"true_accuracies": [93.5]},
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", BROKEN_SEARCH)
def test_a_search_without_a_result_is_refused_by_all_readers(search, name, reader):
    result = {key: value for key, value in (SEARCH | BROKEN_SEARCH[name]).items() if value is not None}
    (search / RESULT).write_text(json.dumps(result))
    with pytest.raises(UsageError, match=rf"no result of this kind of run .* Received: {search / RESULT}$"):
        READERS[reader](search)


@pytest.mark.parametrize("reader", ["genotype=", "analyze"])
@pytest.mark.parametrize("content", NO_RESULTS.values(), ids=NO_RESULTS.keys())
def test_what_is_no_result_is_refused_by_all_readers(search, content, reader):
    (search / RESULT).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=f"Received: {search / RESULT}$"):
        READERS[reader](search)


def test_a_search_is_found_with_its_space(search):
    assert find_genotype(str(search)) == (published_genotype("cifar10_s0_best"), "s0")
    (search / RESULT).unlink()
    assert find_genotype(str(search)) == (published_genotype("cifar10_s0_best"), None)


@pytest.mark.parametrize("other", ["cifar10_s0_1", "cifar10_s1_best", "cifar10_s2_best"])
def test_a_genotype_of_another_search_is_refused(search, other):
    (search / "genotype.json").write_text(published_genotype(other).to_json())
    with pytest.raises(UsageError, match=rf"another genotype than result.json .* Received: {search}/genotype.json$"):
        find_genotype(str(search))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"normal": 1}', "null", '{"normal": [], "reduce": []}'])
def test_a_file_without_a_genotype_is_named(search, content):
    (search / "genotype.json").write_text(content)
    with pytest.raises(UsageError, match=rf"\(in {search}/genotype.json\)$"):
        find_genotype(str(search))


@pytest.mark.parametrize("seed", range(25))
def test_a_flipped_bit_of_a_genotype_is_refused(search, seed):
    flip(search / "genotype.json", seed)
    try:
        assert find_genotype(str(search)).genotype == published_genotype("cifar10_s0_best")  # a blank
    except UsageError as error:
        assert str(search) in str(error)


@pytest.mark.parametrize(
    "wrong", [{"ap": -1}, {"ap50": 1.5}, {"ap50": {}}, {"ap": "0.1"}, {"ap50": [0.1]}, {"ap": True}]
)
def test_a_detectors_result_is_checked(tmp_path, wrong):
    good = {"ap": None, "ap50": 0.25, "seconds": 1.0}
    assert stored_result(tmp_path, DetectResult) is None
    assert write_result(tmp_path, good) == stored_result(tmp_path, DetectResult)
    (tmp_path / RESULT).write_text(json.dumps(good | wrong))
    with pytest.raises(UsageError, match=rf"\({next(iter(wrong))}: .* Received: {tmp_path / RESULT}$"):
        stored_result(tmp_path, DetectResult)
