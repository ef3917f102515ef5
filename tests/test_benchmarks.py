"""The PyTorch peers of the benchmarks are the networks that they claim to be."""

import sys
from pathlib import Path

import pytest

from dartsminus_tf.spaces import find

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("torch", reason="the peers need the [bench] extra")
sys.path.insert(0, str(ROOT / "benchmarks"))


def parameters(module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_the_derived_peer_has_the_published_number_of_parameters():
    from torch_network import Network, published

    name = "cifar10_s0_best"
    entry = find.published()[name]
    assert published(name) == entry["genotype"]
    network = Network(published(name), 36, 20)
    without, with_head = entry["cifar10_C36_L20"]
    assert parameters(network) == with_head
    assert with_head - parameters(network.auxiliary) == without


def test_the_search_peer_has_as_many_weights_as_our_supernet():
    from torch_supernet import Supernet

    import dartsminus_tf as dm

    net = dm.build_supernet("s0", channels=4, layers=3)
    net.build((2, 8, 8, 3))
    ours = sum(variable.value.shape.num_elements() for variable in net.weight_variables)
    assert parameters(Supernet(4, 3)) == ours


def test_the_tables_can_be_written_from_any_part_of_the_results():
    import report

    side = {"step_seconds": 2.0, "first_step_seconds": 30.0, "peak_rss_bytes": 4e9}
    peer = {"step_seconds": 6.0, "first_step_seconds": 15.0, "peak_rss_bytes": 8e9}
    conditions = {"machine": "2 cores", "versions": {"torch": "2"}, "load_before": 0.1}
    text = report.tables({"search": {"conditions": conditions, "values": {"small": {"ours": side, "torch": peer}}}})
    assert "| channels 8, layers 4, batch 16 | median step, s | 2.000 | 6.000 | 3.00 faster |" in text
    assert "0.50 faster" in text and text.count("Not measured.") == 3
