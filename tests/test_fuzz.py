"""Malformed input of every kind: nothing but our own errors, no hang, no blow-up of memory, no look outside a folder.

The default run takes a few dozen cases of each; `-m slow` takes 1,500 of each, 12,000 in all.
"""

import csv
import io
import json
import os
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import dartsminus_tf as dm
from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.settings import read_settings
from dartsminus_tf.foundation.config.typed import dump_config, load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.find import find_genotype
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.nasbench201.truth import ARCHITECTURE, COLUMNS, load_table
from detection.coco.load import load_annotations
from detection.coco.repair import repair
from detection.model import manifest

QUICK, MANY = 40, 1500
MEMORY = 600 * 2**20

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
NASTY_TEXT = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            *(
                "",
                "\x00",
                "[" * 3000,
                "{" * 3000,
                "[" * 20000 + "]" * 20000,
                "9" * 6000,
                "-1e999",
                ".nan",
                ".inf",
                "0x" + "f" * 5000,
            ),
            *(BOMB, "&a [*a]", "!!python/object/apply:os.system [true]", "!!binary x", "2001-99-99", "? [1]\n: 2"),
            *("../../etc/passwd", "/etc/passwd", "a" * 5000, "\ud800", "1_000", "1:2:3", "<<: 3", "null", "~"),
        ]
    ),
)
KEYS = st.one_of(
    st.sampled_from([*SearchConfig.model_fields, *TrainConfig.model_fields, "seed", "name", "image_size", "augment"]),
    st.text(max_size=12),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**300, 10**310), st.floats(), NASTY_TEXT, st.dates()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


def config_case(data):
    kind = data.draw(st.sampled_from([SearchConfig, TrainConfig]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        if data.draw(st.booleans()):
            file.write_bytes(data.draw(st.one_of(st.binary(max_size=200), NASTY_TEXT.map(lossy))))
        else:
            file.write_bytes(lossy(yaml.safe_dump(plain(data.draw(st.dictionaries(KEYS, TREES, max_size=4))))))
        dump_config(load_config(kind, [str(file)]))


def override_case(data):
    text = data.draw(
        st.one_of(NASTY_TEXT, st.builds("{}.{}={}".format, KEYS, KEYS, NASTY_TEXT), st.just("a." * 5000 + "a=1"))
    )
    if data.draw(st.booleans()):
        load_config(data.draw(st.sampled_from([SearchConfig, TrainConfig])), overrides=[text])
    else:
        read_settings([], [text])


def genotype_json_case(data):
    good = json.loads(dm.published_genotype("cifar10_s0_best").to_json())
    tree = mutated(data, good)
    text = data.draw(st.one_of(NASTY_TEXT, st.just(json.dumps(plain(tree)))))
    (find_genotype if data.draw(st.booleans()) else Genotype.from_json)(text)
    Genotype.from_dict(tree)


def genotype_text_case(data):
    good = str(dm.published_genotype("cifar10_s0_best"))
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    text = edited(data, data.draw(st.sampled_from([good, arch])))
    text = data.draw(st.one_of(st.just(text), NASTY_TEXT.map(lambda inner: f"Genotype(normal={inner})"), NASTY_TEXT))
    find_genotype(text)


def table_case(data):
    columns = data.draw(st.permutations([ARCHITECTURE, *COLUMNS.values()]))
    cells = st.one_of(
        NASTY_TEXT.map(printable), st.floats().map(str), st.just("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    )
    rows = data.draw(st.lists(st.lists(cells, max_size=5), max_size=3))
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(data.draw(st.one_of(st.just(lossy(text.getvalue())), st.binary(max_size=100))))
        load_table(path)


def manifest_case(data):
    good = {
        "format": manifest.FORMAT,
        "format_version": manifest.FORMAT_VERSION,
        "levels": {"3": {"channels": 8, "stride": 8}, "4": {"channels": 16, "stride": 16}},
        "preprocessing": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "channels": 3},
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "saved_model.pb").touch()
        text = json.dumps(plain(mutated(data, good)))
        content = data.draw(st.one_of(st.just(lossy(text)), NASTY_TEXT.map(lossy), st.binary(max_size=100)))
        (Path(folder) / "manifest.json").write_bytes(content)
        manifest.read_manifest(folder)


def coco_case(data):
    names = st.one_of(
        st.sampled_from(["a.png", "../secret.png", "/etc/passwd", "b/../a.png", "link.png", "loop", "", ".", "pipe"]),
        NASTY_TEXT,
    )
    image = st.fixed_dictionaries({}, optional={"id": SCALARS, "file_name": names, "width": SCALARS, "height": SCALARS})
    good_image = st.just({"id": 1, "file_name": "a.png", "width": 4, "height": 4})
    box = st.one_of(st.lists(st.one_of(st.floats(), st.integers(-9, 9)), min_size=4, max_size=4), TREES)
    annotation = st.fixed_dictionaries(
        {},
        optional={
            "id": SCALARS,
            "image_id": SCALARS,
            "category_id": SCALARS,
            "bbox": box,
            "area": SCALARS,
            "iscrowd": TREES,
        },
    )
    category = st.one_of(
        st.just({"id": 1, "name": "x"}), st.fixed_dictionaries({}, optional={"id": SCALARS, "name": TREES})
    )
    tree = {
        "images": data.draw(st.lists(st.one_of(image, good_image), max_size=3)),
        "annotations": data.draw(st.lists(annotation, max_size=3)),
        "categories": data.draw(st.lists(category, max_size=2)),
    }
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "images"
        folder.mkdir()
        for path in (folder / "a.png", Path(root) / "secret.png"):
            Image.new("RGB", (4, 4)).save(path)
        (folder / "link.png").symlink_to("../secret.png")
        (folder / "loop").symlink_to("loop")
        os.mkfifo(folder / "pipe")
        path = Path(root) / "instances.json"
        text = lossy(json.dumps(plain(tree)))
        path.write_bytes(
            data.draw(st.one_of(st.just(text), NASTY_TEXT.map(lossy))) if data.draw(st.booleans()) else text
        )
        repaired, _ = repair(load_annotations(str(path)), str(folder))
        for entry in repaired["images"]:
            assert os.path.normpath(entry["file_name"]).split(os.sep)[0] not in ("..", "")


_NETWORKS = {}


def torch_case(data):
    if not _NETWORKS:
        from dartsminus_tf.spaces.torch_state import torch_slots

        net = dm.build_supernet("s2", channels=2, layers=3, num_classes=3)
        net.build((1, 8, 8, 3))
        _NETWORKS["net"], _NETWORKS["names"] = net, sorted(torch_slots(net))
    shapes = st.lists(st.integers(0, 3), max_size=5).map(tuple)
    kinds = st.sampled_from(["float32", "float64", "int8", "complex64", "object", "<U3", "bool", "datetime64[s]"])
    arrays = st.builds(lambda shape, kind: np.empty(shape, kind), shapes, kinds)
    names = st.one_of(st.sampled_from(_NETWORKS["names"]), st.text(max_size=20))
    state = data.draw(st.dictionaries(names, st.one_of(arrays, SCALARS), max_size=4))
    if data.draw(st.booleans()):
        state = dict.fromkeys(_NETWORKS["names"], np.zeros((2, 3, 3, 3))) | state
    dm.load_torch_state(_NETWORKS["net"], state)


def lossy(text):
    return text.encode("utf-8", "surrogatepass")


def printable(text):
    return text.encode("utf-8", "replace").decode()


def plain(tree):
    """`tree` as JSON and YAML can hold it."""
    if isinstance(tree, dict):
        return {printable(str(key)): plain(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [plain(value) for value in tree]
    return tree if tree is None or isinstance(tree, bool | int | float) else printable(str(tree))


def mutated(data, tree):
    """`tree` with one to three of its nodes replaced, dropped or repeated."""
    tree = json.loads(json.dumps(tree))
    for _ in range(data.draw(st.integers(0, 3))):
        node = tree
        while True:
            keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and data.draw(st.booleans()):
                node = node[key]
                continue
            if data.draw(st.booleans()):
                node[key] = data.draw(TREES)
            else:
                del node[key]
            break
    return tree


def edited(data, text):
    """`text` with some pieces cut out and others put in."""
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 8)))
        text = (
            text[:start]
            + data.draw(st.one_of(st.just(""), st.text(max_size=3), st.sampled_from("|~()[],'0+")))
            + text[end:]
        )
    return text


CASES = [
    *(config_case, override_case, genotype_json_case, genotype_text_case),
    *(table_case, manifest_case, coco_case, torch_case),
]


def run_cases(case, number):
    @settings(
        max_examples=number, deadline=5000, suppress_health_check=list(HealthCheck), database=None, derandomize=True
    )
    @given(st.data())
    def fuzz(data):
        try:
            case(data)
        except UsageError as error:
            assert "\n" not in str(error) and len(str(error)) <= 2000

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fuzz()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_few_dozen_malformed_inputs(case):
    run_cases(case, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_thousands_of_malformed_inputs(case):
    run_cases(case, MANY)


def test_a_yaml_bomb_is_refused(tmp_path):
    (tmp_path / "bomb.yaml").write_text(BOMB)
    with pytest.raises(UsageError, match="alias"):
        load_config(SearchConfig, [str(tmp_path / "bomb.yaml")])
