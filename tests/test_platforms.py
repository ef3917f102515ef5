"""On a system without `fcntl` every command says in one line what is missing; the package itself can be imported."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

CODE = """
import contextlib, io, sys

sys.modules["fcntl"] = None  # importing it fails then, as on Windows
import dartsminus_tf
from dartsminus_tf.cli import analyze, export, quickstart, search, train
from detection.cli import detect, prepare_coco

for command in (analyze, export, quickstart, search, train, detect, prepare_coco):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = command.run(["tool", "--model_dir=nowhere"])
    print(command.__name__, code, said.getvalue(), end="")
if "tensorflow" in sys.modules:
    sys.exit("too late")
"""


def test_what_windows_lacks_is_said(tmp_path):
    command, environment = [sys.executable, "-c", CODE], {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = ended.stdout.splitlines()
    names = [*(f"dartsminus_tf.cli.{name}" for name in ("analyze", "export", "quickstart", "search", "train"))]
    names += ["detection.cli.detect", "detection.cli.prepare_coco"]
    reason = (
        "error: Runs need locks of the kernel (Python's module fcntl), which Windows lacks: use Linux, macOS, or WSL"
    )
    assert (ended.returncode, ended.stderr, len(lines)) == (0, "", len(names))
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(f"{name} 2 {reason} on Windows. Received: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("platform", ["Linux", "macOS", "Windows", "WSL"])
def test_the_readme_names_the_platforms(platform):
    (line,) = [line for line in (ROOT / "README.md").read_text().split("\n\n") if "fcntl" in line]
    assert platform in line
