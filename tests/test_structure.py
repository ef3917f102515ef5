"""The packages are laid out as CONTRIBUTING.md says: imports go down its lists, and importing does nothing."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import structure
from tests.structure import Tree

ROOT = Path(__file__).resolve().parents[1]
TREE = Tree(ROOT)
LISTED = ("dartsminus_tf", "detection", "dartsminus_tf/spaces")
SPACES = "dartsminus_tf/spaces"
CELL_SPACES = ("s0", "s1", "s2", "s3", "s4")

IMPORT_EACH = """
import sys

for name in sys.argv[1:]:
    __import__(name)
    if "tensorflow" in sys.modules:
        sys.exit(name)
"""


class Allowed(NamedTuple):
    """A string outside the families' folders that may be the name of a family or a space."""

    file: str
    text: str
    reason: str


ALLOWED = (
    Allowed("dartsminus_tf/config/search.py", "s0", "the space of a search that names none"),
    Allowed("dartsminus_tf/config/search.py", "darts", "a value of `method`: no auxiliary skip"),
    Allowed("dartsminus_tf/studies/chains.py", "darts", "a value of `method`: the row without the auxiliary skip"),
    Allowed("dartsminus_tf/analysis/grid.py", "darts", "the row of a table with that value of `method`"),
)

# Files that compute the names of modules, and where those names are.
COMPUTED = {
    "dartsminus_tf/__init__.py": "the public names, in the file",
    "dartsminus_tf/export/portable.py": "packages that need not be installed",
    "dartsminus_tf/foundation/config/entries.py": "entries, which are followed, and plugins from elsewhere",
}


def listed(package: str) -> list[set[str]]:
    return structure.rooms(TREE.contributing(), package)


def imports_of(tree: Tree, package: str, forbidden: set[str]) -> list[str]:
    """Imports in `package` (a folder) of forbidden top-level packages."""
    within = [found for found in tree.imports if found.source.startswith(f"{package}/")]
    return [str(found) for found in within if found.module.split(".")[0] in forbidden]


def beyond_the_foundation(tree: Tree) -> list[str]:
    """What `detection` imports of `dartsminus_tf` besides the foundation."""
    met = [
        found for found in tree.imports if re.match(r"detection/.* dartsminus_tf\b", f"{found.source} {found.module}")
    ]
    return [str(i) for i in met if structure.room_of(i.target or "", "dartsminus_tf") != "foundation"]


def families(tree: Tree) -> set[str]:
    """The folders of `spaces`: one a family."""
    return {file.split("/")[2] for file in tree.texts if re.match(rf"{SPACES}/\w+/", file)}


class Naming(NamedTuple):
    """A place outside a family's folder that names the family."""

    file: str
    line: int
    text: str


def namings(tree: Tree) -> list[Naming]:
    """Where a family is named by others than itself and `families.py`: imports from its folder, strings that are its
    name or that of one of its spaces, and strings with its name among their words.

    Not among words: "darts", which also names the method. Docstrings and comments may name what they like.
    """
    found = []
    for file in tree.trees:
        home = structure.room_of(file, SPACES)
        if file.startswith("dartsminus_tf/") and home != "families":
            found += _imported(tree, file, families(tree) - {home})
            found += _named(tree, file, families(tree) - {home}, home in families(tree))
    return found


def _imported(tree: Tree, file: str, others: set[str]) -> list[Naming]:
    within = [found for found in tree.imports if found.source == file]
    return [Naming(file, i.line, i.module) for i in within if structure.room_of(i.target or "", SPACES) in others]


def _named(tree: Tree, file: str, others: set[str], has_spaces: bool) -> list[Naming]:
    names = others | (set() if has_spaces else set(CELL_SPACES))
    words = re.compile("|".join(rf"\b{name}\b" for name in sorted(others - {"darts"})) or r"(?!)")
    strings = structure.constants(tree.trees[file])
    return [Naming(file, s.lineno, s.value) for s in strings if s.value in names or words.search(s.value)]


def broken_entries(tree: Tree) -> list[str]:
    """Families without a record or without entries in it, and entries that lead to no function."""
    problems = []
    for family in sorted(families(tree)):
        file = f"{SPACES}/{family}/family.py"
        strings = structure.constants(tree.trees[file]) if file in tree.trees else ()
        entries = [s.value for s in strings if structure.ENTRY.fullmatch(s.value)]
        problems += [] if entries else [f"{file} has no entry"]
        for entry in entries:
            target = structure.entry_file(tree, file, entry)
            if target is None or entry.split(":")[1] not in structure.names_in(tree.trees[target]):
                problems.append(f"{file}: {entry} is no function")
    return problems


# The packages


@pytest.mark.parametrize("package", LISTED)
def test_every_room_is_in_the_list(package):
    assert set().union(*listed(package)) == structure.rooms_of(TREE, package)


@pytest.mark.parametrize("package", LISTED)
def test_imports_go_down_the_list(package):
    assert structure.against_order(TREE, package, listed(package)) == []


def test_no_circle_of_files():
    assert structure.circles(TREE.arrows) == []


def test_few_files_compute_names_of_modules():
    """What is imported by a name that no parser sees escapes the other tests."""
    assert {found.source for found in TREE.imports if found.kind == "computed"} <= set(COMPUTED)


def test_foundation_needs_neither_tensorflow_nor_keras():
    assert "foundation" in structure.rooms_of(TREE, "dartsminus_tf")
    assert imports_of(TREE, "dartsminus_tf/foundation", {"tensorflow", "keras", "tf_keras", "official"}) == []


def test_packages_meet_in_the_foundation_alone():
    assert imports_of(TREE, "dartsminus_tf", {"tf_keras", "official", "detection"}) == []
    assert imports_of(TREE, "detection", {"keras"}) == []
    assert beyond_the_foundation(TREE) == []


def test_importing_needs_no_tensorflow():
    """Bad flags and settings are refused before the time that TensorFlow takes."""
    light = re.compile(r"dartsminus_tf/(__init__|foundation(/\w+)+|config(/\w+)?|cli/\w+)\.py|detection/cli/\w+\.py")
    modules = [
        file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for file in TREE.texts
        if light.fullmatch(file)
    ]
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, *modules], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {"dartsminus_tf.config", "dartsminus_tf.foundation.errors", "detection.cli.detect"} <= set(modules)


def test_entries_of_the_families_lead_to_functions():
    assert broken_entries(TREE) == []
    assert families(TREE) >= {"darts", "mobilenet", "nasbench201"}


def test_families_are_named_in_one_file():
    allowed = {(name.file, name.text) for name in ALLOWED}
    assert [naming for naming in namings(TREE) if (naming.file, naming.text) not in allowed] == []


@pytest.mark.parametrize("name", ALLOWED, ids=lambda name: f"{name.file}:{name.text}")
def test_what_is_allowed_is_used(name):
    assert (name.file, name.text) in {(naming.file, naming.text) for naming in namings(TREE)}


def test_walks_lead_through_functions():
    walks, before = (structure.read_walks(ROOT / "tests" / name) for name in ("walks.json", "walks_f778a12.json"))
    assert set(walks) == set(before)
    assert [stop for stops in walks.values() for stop in structure.unknown_stops(TREE, stops)] == []


def test_public_names():
    import dartsminus_tf as dm

    for name in dm.__all__:
        assert getattr(dm, name) is not None
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = dm.nothing_here


# The checks themselves, on packages of a few lines

CONTRIBUTING = """
    dartsminus_tf/
        foundation     what every run
                       stands on
        spaces         families
        data | loop    images and labels | one loop
        cli            command lines

Prose.

```
detection/  detectors
    coco  boxes
    run
```
"""
FILES = {
    "dartsminus_tf/__init__.py": "NAMES = ['cli.main']\nimport_module(f'dartsminus_tf.{NAMES[0]}')",
    "dartsminus_tf/foundation/errors.py": "import os",
    "dartsminus_tf/spaces/families.py": "from dartsminus_tf.spaces.mobilenet import family\nNAMES = ['darts', 's0']",
    "dartsminus_tf/spaces/mobilenet/family.py": "NAME = 'mobilenet'\nNETWORK = 'network:build'",
    "dartsminus_tf/spaces/mobilenet/network.py": "'''Of mobilenet.'''\ndef build():\n    pass",
    "dartsminus_tf/data.py": "from dartsminus_tf.foundation.errors import UsageError",
    "dartsminus_tf/loop/epochs.py": "class Loop:\n  def run():\n    'mobilenet'\n    from ..foundation import errors",
    "dartsminus_tf/cli/main.py": "import dartsminus_tf.loop.epochs\nfrom dartsminus_tf import data",
    "detection/coco.py": "",
    "detection/run/training.py": "from dartsminus_tf.foundation import errors\nfrom detection import coco",
}


@pytest.fixture
def make(tmp_path):
    """(changed files) -> the tree of FILES with them."""

    def write(**changed: str) -> Tree:
        for file, text in {
            **FILES,
            **{name.replace("__", "/") + ".py": text for name, text in changed.items()},
        }.items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text)
        return Tree(tmp_path)

    return write


def problems(tree: Tree) -> list[str]:
    """All that the checks find."""
    found = [str(circle) for circle in structure.circles(tree.arrows)] + broken_entries(tree)
    for package in ("dartsminus_tf", "detection"):
        floors = structure.rooms(CONTRIBUTING, package)
        found += structure.against_order(tree, package, floors)
        found += sorted(set().union(*floors) ^ structure.rooms_of(tree, package))
    found += imports_of(tree, "dartsminus_tf", {"tf_keras"}) + beyond_the_foundation(tree)
    found += [str(i) for i in tree.imports if i.kind == "computed" and i.source != "dartsminus_tf/__init__.py"]
    return found + [naming.text for naming in namings(tree)]


def test_a_tree_in_order_passes(make):
    assert problems(make()) == []


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        (
            "dartsminus_tf__foundation__errors",
            "def f():\n    from dartsminus_tf import data",
            "upwards, from foundation",
        ),
        (
            "dartsminus_tf__foundation__errors",
            "import importlib as i\ni.import_module('dartsminus_tf.data')",
            "upwards",
        ),
        ("dartsminus_tf__foundation__errors", "if TYPE_CHECKING:\n    from ..cli import main", "(typing): upwards"),
        ("dartsminus_tf__foundation__errors", "from dartsminus_tf import __version__", "to __init__"),
        ("dartsminus_tf__cli__main", "import importlib\nimportlib.import_module(f('x'))", "imports * (computed)"),
        ("dartsminus_tf__data", "def f():\n    from dartsminus_tf.loop import epochs", "sideways, from data to loop"),
        ("dartsminus_tf__loop__more", "from . import epochs\nimport tf_keras.layers", "tf_keras.layers"),
        ("dartsminus_tf__attic__old", "", "attic"),
        ("detection__run__training", "import dartsminus_tf.data", "imports dartsminus_tf.data"),
        ("detection__run__training", "import dartsminus_tf", "imports dartsminus_tf (module)"),
        ("dartsminus_tf__cli__main", "SPACE = 's0'", "s0"),
        ("dartsminus_tf__cli__main", "def f(x):\n    return x == 'mobilenet'", "mobilenet"),
        ("dartsminus_tf__cli__main", "TEXT = f'{1} is for space mobilenet.'", " is for space mobilenet."),
        ("dartsminus_tf__cli__main", "import dartsminus_tf.spaces.mobilenet.network", "dartsminus_tf.spaces.mobilenet"),
        ("dartsminus_tf__spaces__darts__family", "A = 'mobilenet'\nB = 'family:f'\ndef f():\n    pass", "mobilenet"),
        ("dartsminus_tf__spaces__mobilenet__family", "NETWORK = 'network:absent'", "network:absent is no function"),
        ("dartsminus_tf__spaces__mobilenet__family", "", "family.py has no entry"),
    ],
)
def test_what_is_out_of_order_is_found(make, file, text, found):
    assert found in "\n".join(problems(make(**{file: text})))


def test_circles_are_found(make):
    """Of imports inside functions, and by way of an entry."""
    back = "def f():\n    import dartsminus_tf.loop.epochs"
    tree = make(dartsminus_tf__loop__epochs="from . import more", dartsminus_tf__loop__more=back)
    assert structure.circles(tree.arrows) == [["dartsminus_tf/loop/epochs.py", "dartsminus_tf/loop/more.py"]]
    tree = make(dartsminus_tf__spaces__mobilenet__network="from . import family\ndef build():\n    pass")
    assert "dartsminus_tf/spaces/mobilenet/network.py" in sum(structure.circles(tree.arrows), [])


def test_the_list_is_read():
    assert structure.rooms(CONTRIBUTING, "dartsminus_tf") == [{"foundation"}, {"spaces"}, {"data", "loop"}, {"cli"}]
    assert structure.rooms(CONTRIBUTING, "detection") == [{"coco"}, {"run"}]
    for text in (CONTRIBUTING.replace("data", "cli"), ""):
        with pytest.raises(ValueError, match="rooms of dartsminus_tf"):
            structure.rooms(text, "dartsminus_tf")


def test_rooms_and_arrows_are_counted(make):
    measured = structure.measure_scope(make(), "dartsminus_tf")
    assert measured == {"rooms": 5, "floors": 3, "arrows": 4, "circles": [], "against_order": None}
    assert structure.num_floors("abcd", {("a", "b"), ("b", "a"), ("b", "c"), ("d", "a")}) == 3


def test_walks_are_counted(make):
    stops = ["a.py:f", "a.py:g", "b.py:f", "a.py:f", "c.py:f", "b.py:f"]
    assert structure.count_walk(stops) == (3, 5, 2)
    known = ["dartsminus_tf/loop/epochs.py:Loop", "dartsminus_tf/loop/epochs.py:Loop.run"]
    assert structure.unknown_stops(make(), [*known, "dartsminus_tf/loop/epochs.py:run", "no.py:run"]) == [
        "dartsminus_tf/loop/epochs.py:run",
        "no.py:run",
    ]
