"""Imports go one way, and importing does nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "dartsminus_tf"

# Each room imports only itself and rooms before it.
ROOMS = [
    "foundation",
    "runtime",
    "ops",
    "mixed",
    "spaces",
    "config",
    "export",
    "data",
    "loop",
    "search",
    "train",
    "analysis",
    "cli",
]


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def sources():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_rooms_above(path):
    relative = str(path.relative_to(PACKAGE))
    room = relative.split("/")[0].removesuffix(".py")
    for name in imported_modules(path):
        assert name.split(".")[0] not in {"tf_keras", "official", "detection"}, f"{relative} imports {name}"
        if name.startswith("dartsminus_tf."):
            other = name.split(".")[1]
            assert ROOMS.index(other) <= ROOMS.index(room), f"{relative} imports {name}"


def test_import_is_lazy():
    code = "import sys, dartsminus_tf, dartsminus_tf.config; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names():
    import dartsminus_tf as dm

    for name in dm.__all__:
        assert getattr(dm, name) is not None
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = dm.nothing_here
