"""What tests/test_structure.py does not ask of the rooms of `detection`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import detection

FILES = [path for path in sorted(Path(detection.__file__).parent.rglob("*.py")) if path.name != "__init__.py"]


def test_the_format_of_coco_needs_no_tensorflow():
    """A data set can be looked at, and a run directory read, without the half minute that Model Garden takes."""
    modules = [f"detection.coco.{path.stem}" for path in FILES if path.parent.name == "coco"]
    code = f"import sys, detection.run.directory, {', '.join(modules)}; sys.exit('tensorflow' in sys.modules)"
    assert len(modules) >= 5 and subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_only_forwards(path):
    """A module of imports alone is a second name for another one."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) for node in body)
