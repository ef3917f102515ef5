"""`detection` meets the search side only in a SavedModel: of its package it imports the foundation alone."""

import ast
from pathlib import Path

import pytest

import detection

FILES = sorted(path for path in Path(detection.__file__).parent.rglob("*.py"))


def imported_packages(source: str) -> set[str]:
    """What a module imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(FILES[0].parents[1])))
def test_imports_neither_keras_nor_the_search(path):
    for name in imported_packages(path.read_text(encoding="utf-8")):
        assert name.split(".")[0] != "keras", name
        assert not name.startswith("dartsminus_tf") or name.startswith("dartsminus_tf.foundation"), name


def test_the_parser_sees_nested_imports():
    assert imported_packages("def f():\n    from keras.layers import Dense\n    import os") == {"keras.layers", "os"}


def test_command_lines_import_no_tensorflow():
    """Bad flags are refused before the half minute that TensorFlow and Model Garden take."""
    import subprocess
    import sys

    code = "import sys, detection.cli.detect, detection.cli.prepare_coco; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
