import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dartsminus_tf as dm
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.darts.derive import derive, derive_cell
from dartsminus_tf.spaces.darts.genotype import CellGenotype
from dartsminus_tf.spaces.darts.space import cell_edges, cell_space

OPS = ["sep_conv_3x3", "skip_connect", "max_pool_3x3"]


@st.composite
def genotypes(draw):
    def cell():
        return [
            (draw(st.sampled_from(OPS)), draw(st.integers(0, i // 2 + 1))) for i in range(2 * draw(st.integers(1, 5)))
        ]

    normal, reduce = cell(), cell()
    concat = [list(range(2, len(entries) // 2 + 2)) for entries in (normal, reduce)]
    return CellGenotype(normal, concat[0], reduce, concat[1])


@given(genotypes())
def test_every_form_reads_back(genotype):
    assert CellGenotype.from_json(genotype.to_json()) == genotype
    assert CellGenotype.from_string(str(genotype)) == genotype
    assert json.loads(genotype.to_json())["normal"] == [list(entry) for entry in genotype.normal]


def test_reads_the_form_with_ranges():
    text = (
        "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0)], normal_concat=range(2, 3), "
        "reduce=[('noise', 0), ('noise', 1)], reduce_concat=[2])"
    )
    genotype = dm.Genotype.from_string(text)
    assert genotype.normal_concat == (2,) and genotype.reduce == (("noise", 0), ("noise", 1))


VALID = {"normal": [["a", 0], ["b", 1]], "normal_concat": [2], "reduce": [["a", 0], ["b", 1]], "reduce_concat": [2]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normal": [["a", 0], ["b", 2]]}, "makes a cycle"),
        ({"normal": [["a", 0], ["b", -1]]}, "read a state"),
        ({"normal": [["a", 0]]}, "two"),
        ({"normal": []}, "two"),
        ({"normal": "ab"}, "two"),
        ({"normal": [["a", 0], ["b"]]}, "Entry 1"),
        ({"normal": [["a", 0], [1, 1]]}, "Entry 1"),
        ({"normal": [["a", 0], ["b", True]]}, "Entry 1"),
        ({"normal_concat": [3]}, "lists states"),
        ({"normal_concat": []}, "lists states"),
        ({"reduce_concat": [2, 2]}, "repeat"),
        ({"extra": 1}, "exactly the keys"),
    ],
)
def test_malformed_genotypes_give_one_line(change, message):
    with pytest.raises(UsageError, match=message) as error:
        CellGenotype.from_dict({**VALID, **change})
    assert "\n" not in str(error.value) and "Received" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Genotype(",
        "__import__('os').system('true')",
        "Genotype(normal=__import__('os'))",
        "Genotype([1])",
        "Genotype(normal=[('a', 0), ('b', 1)], normal_concat=range(10**9), reduce=[], reduce_concat=[2])",
        "Genotype(" * 3000,
    ],
)
def test_strings_are_parsed_not_evaluated(text):
    with pytest.raises(UsageError):
        CellGenotype.from_string(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for read in (CellGenotype.from_string, CellGenotype.from_json):
        with pytest.raises(UsageError):
            read(text)


def _alpha(edges: int, ops: int, strong: dict[tuple[int, int], float]) -> np.ndarray:
    alpha = np.zeros((edges, ops))
    for place, value in strong.items():
        alpha[place] = value
    return alpha


def test_derivation_leaves_none_out_and_orders_by_strength():
    space = dm.get_space("s0")
    alpha = np.zeros((14, 8))
    alpha[0, 0] = (
        9.0  # `none` is strongest on edge 2<-0: its other weights are then tiny, but the node has two edges only
    )
    alpha[0, 4] = 1.0
    alpha[1, 3] = 2.0
    alpha[2, 1], alpha[3, 2], alpha[4, 7] = 1.0, 3.0, 2.0  # node 3: from states 0, 1, 2
    entries = derive_cell(alpha, space.candidates["normal"])
    assert entries[:2] == [("skip_connect", 1), ("sep_conv_3x3", 0)]
    assert entries[2:4] == [("avg_pool_3x3", 1), ("dil_conv_5x5", 2)]


def test_derivation_takes_the_earlier_of_equals():
    entries = derive_cell(np.zeros((14, 8)), dm.get_space("s0").candidates["normal"])
    assert entries == [("max_pool_3x3", 0), ("max_pool_3x3", 1)] * 4


def test_derivation_where_only_some_edges_have_none():
    edges = cell_edges(reduction=False)
    primitives = tuple(("none", "sep_conv_3x3") if i % 2 else ("skip_connect", "none") for i in range(len(edges)))
    space = cell_space("irregular", primitives, primitives)
    alpha = np.zeros((14, 2))
    genotype = derive(space, {"normal": alpha, "reduce": alpha})
    assert all(op != "none" for op, _ in genotype.normal + genotype.reduce)
    assert genotype.normal[:2] == (("skip_connect", 0), ("sep_conv_3x3", 1))


def test_edge_order():
    pairs = [(edge.target, edge.source) for edge in cell_edges(reduction=True)]
    assert pairs == [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2), *((4, i) for i in range(4)), *((5, i) for i in range(5))]
    assert [edge.stride for edge in cell_edges(reduction=True)] == [2, 2, 2, 2, 1, 2, 2, 1, 1, 2, 2, 1, 1, 1]


def test_unknown_space_and_operation():
    with pytest.raises(UsageError, match="Unknown space"):
        dm.get_space("s99")
    with pytest.raises(UsageError, match="lacks"):
        dm.build_network(CellGenotype.from_dict(VALID))


def test_every_family_is_read_in_a_fresh_process():
    texts = ["|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", str(CellGenotype.from_dict(VALID))]
    code = f"import dartsminus_tf as dm; print([dm.Genotype.from_string(text).short for text in {texts!r}])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
