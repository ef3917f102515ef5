"""How the packages are laid out, measured from their syntax trees: rooms, arrows, circles, lengths, walks.

    python tests/structure.py [--root DIR] [--walks FILE] [--json]

A room is a folder, or a single file, of a package; an arrow leads from one room to another whose files it imports,
wherever the import stands: at the top, inside a function, under TYPE_CHECKING, as `import_module("...")`, or as an
entry "module:function". That a package's `__init__` runs before its modules is no arrow; to import a name from it is
one. CONTRIBUTING.md lists the rooms, ground first (see `rooms`).

A walk is the way of one datum: the functions that it passes, in the order in which they run. The rule of counting:

1. A stop is a function (or class, where one is made) of the packages that is handed the datum, what has become of it,
   or an object that holds it and from which it reads it or hands it on. A section of a config counts as the config, a
   single value that the caller has read from it does not.
2. After a call the caller is a stop again where it hands the datum on once more; where it returns it, it is not.
3. Where the datum has a destination, checks and records of it that end elsewhere are not walked.
4. Neighbouring stops in one file are one stay. `files` counts different files, `returns` the stays in a file that
   was visited before: stays - files.

Walks are written by hand, in a JSON file: {"commit": "...", "walks": {"name": ["folder/file.py:Class.function", ...]}}.
That every stop exists is checked; an empty list is a walk that is still to be written.
"""

import argparse
import ast
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("dartsminus_tf", "detection", "safeguards")
SCOPES = {
    "house": "dartsminus_tf",
    "foundation": "dartsminus_tf/foundation",
    "detection": "detection",
    "spaces": "dartsminus_tf/spaces",
    "data": "dartsminus_tf/data",
    "ops": "dartsminus_tf/ops",
    "mixed": "dartsminus_tf/mixed",
}
FACE = "__init__"  # a package's own file: it may show what its rooms hold, and none of them imports it
LONG = 40
ENTRY = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")


class Import(NamedTuple):
    """One import of one module.

    Attributes:
        source, line: where it stands.
        module: the dotted name.
        target: its file in the tree; None where the module is of another package.
        kind: "module", "function", "typing" (under TYPE_CHECKING), "computed" (the beginning of a name that
            `import_module` is given and "*", and every constant of the file that completes it to a module's name) or
            "entry" (a text "module:function").
    """

    source: str
    line: int
    module: str
    target: str | None
    kind: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.module} ({self.kind})"


@dataclass(frozen=True)
class Tree:
    """The sources of the packages under `root`; files are named by their path from there."""

    root: Path

    @cached_property
    def texts(self) -> dict[str, str]:
        """{file: its text}"""
        paths = sorted(path for package in PACKAGES for path in (self.root / package).rglob("*.py"))
        return {path.relative_to(self.root).as_posix(): path.read_text(encoding="utf-8") for path in paths}

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """{file: its syntax tree}"""
        return {file: ast.parse(text) for file, text in self.texts.items()}

    def file_of(self, module: str) -> str | None:
        """The file of a dotted module, or None."""
        stem = module.replace(".", "/")
        return next((file for file in (f"{stem}.py", f"{stem}/{FACE}.py") if file in self.texts), None)

    @cached_property
    def imports(self) -> list[Import]:
        """Every import of every file."""
        return [found for file in self.trees for found in _Imports(self, file).found]

    @cached_property
    def arrows(self) -> set[tuple[str, str]]:
        """(file, file that it imports), without those to itself."""
        return {(i.source, i.target) for i in self.imports if i.target is not None and i.target != i.source}

    def contributing(self) -> str:
        """CONTRIBUTING.md; empty where there is none."""
        path = self.root / "CONTRIBUTING.md"
        return path.read_text(encoding="utf-8") if path.exists() else ""


class _Imports(ast.NodeVisitor):
    """The imports of one file in `found`."""

    def __init__(self, tree: Tree, file: str):
        self.tree, self.file, self.kind, self.found = tree, file, "module", []
        self.folder = file.split("/")[:-1]
        self.openings: list[str] = []
        self.visit(tree.trees[file])
        self._computed()
        self._entries()

    def _add(self, line: int, module: str, kind: str | None = None) -> None:
        self.found.append(Import(self.file, line, module, self.tree.file_of(module), kind or self.kind))

    def _inside(self, kind: str, nodes: Iterable[ast.AST]) -> None:
        before, self.kind = self.kind, "typing" if self.kind == "typing" else kind
        for node in nodes:
            self.visit(node)
        self.kind = before

    def visit_FunctionDef(self, node):
        self._inside("function", ast.iter_child_nodes(node))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        typing = "TYPE_CHECKING" in ast.unparse(node.test)
        self._inside("typing" if typing else self.kind, node.body)
        self._inside(self.kind, [node.test, *node.orelse])

    def visit_Import(self, node):
        for alias in node.names:
            self._add(node.lineno, alias.name)

    def visit_ImportFrom(self, node):
        above = self.folder[: len(self.folder) - node.level + 1] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            inner = f"{module}.{alias.name}"
            self._add(node.lineno, inner if self.tree.file_of(inner) else module)

    def visit_Call(self, node):
        name = ast.unparse(node.func).split(".")[-1]
        if name in ("import_module", "__import__") and node.args:
            text, whole = _opening(node.args[0])
            if whole:
                self._add(node.lineno, text)
            else:
                self.openings.append(text)
                self._add(node.lineno, f"{text}*", "computed")
        self.generic_visit(node)

    def _computed(self) -> None:
        for constant, opening in itertools.product(constants(self.tree.trees[self.file]), self.openings):
            if self.tree.file_of(opening + constant.value):
                self._add(constant.lineno, opening + constant.value, "computed")

    def _entries(self) -> None:
        for constant in constants(self.tree.trees[self.file]):
            target = entry_file(self.tree, self.file, constant.value)
            if target is not None:
                self._add(constant.lineno, target.removesuffix(".py").replace("/", "."), "entry")


def _opening(node: ast.expr) -> tuple[str, bool]:
    """The text that a string expression begins with, and whether that is all of it."""
    first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value, first is node
    return "", False


def constants(tree: ast.AST) -> Iterator[ast.Constant]:
    """The strings of a syntax tree, parts of f-strings too; docstrings are left out."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node


def entry_file(tree: Tree, file: str, text: str) -> str | None:
    """The file that the entry "module:function" of `file` leads to; its module is one of the folder, or a full name."""
    match = ENTRY.fullmatch(text)
    modules = [f"{file.rsplit('/', 1)[0].replace('/', '.')}.{match[1]}", match[1]] if match else []
    return next(filter(None, map(tree.file_of, modules)), None)


def names_in(tree: ast.AST, prefix: str = "") -> set[str]:
    """The functions and classes that a syntax tree defines, such as "Loop.run"."""
    names = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names |= {prefix + node.name} | names_in(node, f"{prefix}{node.name}.")
        else:
            names |= names_in(node, prefix)
    return names


# Rooms


def rooms(contributing: str, package: str) -> list[set[str]]:
    """The rooms of `package` in the order of its list, ground first; those in one set stand side by side.

    The list is a block of CONTRIBUTING.md: the package's path and "/" on a line, and below it, further in, a line a
    floor: the room's name, or several with " | " between them; then, after two spaces, words for people. Lines that are
    further in than the first floor go on with the words.

    Raises:
        ValueError: where there is no such list, or a room is in it twice.
    """
    lines = contributing.splitlines()
    floors: list[set[str]] = []
    for number, line in enumerate(lines):
        if not floors and line.strip().split("  ")[0] == f"{package}/":
            floors = list(_floors(_depth(line), lines[number + 1 :]))
    names = [name for floor in floors for name in floor]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"CONTRIBUTING.md must list the rooms of {package}/, each once. Received: {names}")
    return floors


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _floors(depth: int, lines: list[str]) -> Iterator[set[str]]:
    block = list(itertools.takewhile(lambda line: line.strip() and _depth(line) > depth, lines))
    for line in block:
        if _depth(line) == _depth(block[0]):
            yield set(line.strip().split("  ")[0].split(" | "))


def room_of(file: str, scope: str) -> str | None:
    """The room of `scope` that `file` is in; None outside."""
    if not file.startswith(f"{scope}/"):
        return None
    return file.removeprefix(f"{scope}/").split("/")[0].removesuffix(".py")


def rooms_of(tree: Tree, scope: str) -> set[str]:
    """The rooms that there are."""
    return {room_of(file, scope) for file in tree.texts} - {None, FACE}


def room_arrows(tree: Tree, scope: str) -> set[tuple[str, str]]:
    """(room, room that it imports)"""
    pairs = {(room_of(source, scope), room_of(target, scope)) for source, target in tree.arrows}
    return {(a, b) for a, b in pairs if a != b and not {a, b} & {None, FACE}}


def against_order(tree: Tree, scope: str, floors: list[set[str]]) -> list[str]:
    """What imports upwards, sideways, or the scope's own face: one line each."""
    height = {room: index for index, floor in enumerate(floors) for room in floor} | {FACE: len(floors)}
    lines = []
    for found in tree.imports:
        source, target = room_of(found.source, scope), room_of(found.target or "", scope)
        if source in height and target in height and source != target and height[target] >= height[source]:
            way = "sideways" if height[target] == height[source] else "upwards"
            lines.append(f"{found}: {way}, from {source} to {target}")
    return lines


# Circles


def circles(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The groups of two or more that reach one another."""
    return sorted(sorted(group) for group in _components(arrows) if len(group) > 1)


def num_floors(names: Iterable[str], arrows: set[tuple[str, str]]) -> int:
    """How many floors the rooms need, those of a circle standing on one."""
    height = dict.fromkeys(names, 1)
    for group in _components(arrows):  # what is imported comes first
        below = [height[b] for a, b in arrows if a in group and b not in group]
        height |= dict.fromkeys(group, 1 + max(below, default=0))
    return max(height.values(), default=0)


def _components(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Tarjan's strongly connected components: each after all that it reaches."""
    targets: dict[str, list[str]] = {}
    for source, target in sorted(arrows):
        targets.setdefault(source, []).append(target)
    index, low, stack, found = {}, {}, [], []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in targets.get(node, ()):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            start = stack.index(node)
            found.append(stack[start:])
            del stack[start:]

    for node in sorted(targets):
        if node not in index:
            visit(node)
    return found


# Walks


class Walk(NamedTuple):
    """How far a datum goes."""

    files: int
    stays: int
    returns: int


def count_walk(stops: Iterable[str]) -> Walk:
    """Counts by the rule above."""
    stays = [file for file, _ in itertools.groupby(stop.partition(":")[0] for stop in stops)]
    return Walk(len(set(stays)), len(stays), len(stays) - len(set(stays)))


def unknown_stops(tree: Tree, stops: Iterable[str]) -> list[str]:
    """The stops that name no function or class of the tree."""
    split = [(stop, *stop.partition(":")[::2]) for stop in stops]
    return [stop for stop, file, name in split if file not in tree.trees or name not in names_in(tree.trees[file])]


def read_walks(path: Path) -> dict[str, list[str]]:
    """{name of a walk: its stops}"""
    return json.loads(path.read_text(encoding="utf-8"))["walks"]


# The report


def lengths(tree: Tree) -> dict:
    """Files, lines, and what is longest."""
    lines = {file: len(text.splitlines()) for file, text in tree.texts.items()}
    functions = {
        f"{file}:{node.name}": node.end_lineno - node.lineno + 1
        for file, syntax in tree.trees.items()
        for node in ast.walk(syntax)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return {
        "files": len(lines),
        "lines": sum(lines.values()),
        "longest_file": max(((length, file) for file, length in lines.items()), default=None),
        "longest_function": max(((length, name) for name, length in functions.items()), default=None),
        f"functions_over_{LONG}_lines": sum(length > LONG for length in functions.values()),
    }


def measure_scope(tree: Tree, scope: str) -> dict:
    """Rooms, floors, arrows and circles of rooms; what goes against CONTRIBUTING's list, None without a fitting one."""
    names, arrows = rooms_of(tree, scope), room_arrows(tree, scope)
    try:
        floors = rooms(tree.contributing(), scope)
    except ValueError:
        floors = []
    fits = set().union(*floors) == names
    return {
        "rooms": len(names),
        "floors": num_floors(names, arrows),
        "arrows": len(arrows),
        "circles": circles(arrows),
        "against_order": len(against_order(tree, scope, floors)) if fits else None,
    }


def measure(tree: Tree, walks: Mapping[str, list[str]]) -> dict:
    """All numbers."""
    kinds = [found.kind for found in tree.imports if found.target is not None]
    return {
        **lengths(tree),
        "scopes": {name: measure_scope(tree, scope) for name, scope in SCOPES.items() if rooms_of(tree, scope)},
        "circles_of_files": circles(tree.arrows),
        "imports": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "walks": {name: count_walk(stops)._asdict() for name, stops in walks.items() if stops},
        "unknown_stops": [stop for stops in walks.values() for stop in unknown_stops(tree, stops)],
    }


def as_text(measured: dict) -> str:
    """The report for people."""
    single = {key: value for key, value in measured.items() if not isinstance(value, dict | list)}
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in single.items()]
    lines += ["", f"{'scope':10} rooms floors arrows circles  against the order"]
    for name, scope in measured["scopes"].items():
        against = "no list" if scope["against_order"] is None else scope["against_order"]
        numbers = f"{scope['rooms']:5d} {scope['floors']:6d} {scope['arrows']:6d} {len(scope['circles']):7d}"
        lines += [f"{name:10} {numbers}  {against}", *(f"    circle {' '.join(c)}" for c in scope["circles"])]
    lines += ["", f"circles of files: {len(measured['circles_of_files'])}"]
    lines += [f"    {' '.join(circle)}" for circle in measured["circles_of_files"]]
    lines += ["", f"{'walk':42} files stays returns"]
    lines += [f"{name:42} {w['files']:5d} {w['stays']:5d} {w['returns']:7d}" for name, w in measured["walks"].items()]
    lines += [f"no such stop: {stop}" for stop in measured["unknown_stops"]]
    return "\n".join(lines)


def main() -> None:
    """Measures a checkout and prints the numbers."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=here.parent, help="the checkout to measure; by default this one")
    parser.add_argument("--walks", type=Path, default=here / "walks.json", help="the walks of that checkout")
    parser.add_argument("--json", action="store_true", help="print JSON")
    values = parser.parse_args()
    measured = measure(Tree(values.root), read_walks(values.walks))
    print(json.dumps(measured, indent=1) if values.json else as_text(measured))


if __name__ == "__main__":
    main()
