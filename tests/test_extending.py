"""Plugins from outside the package: what DARTSMINUS_PLUGINS names is imported by every command."""

import os
import subprocess
import sys

import pytest

from dartsminus_tf.foundation.entries import PLUGINS
from tests.conftest import ROOT

COMMANDS = ("search", "train", "export", "analyze", "quickstart")


def start(*arguments, plugins, path=ROOT) -> subprocess.Popen:
    """A Python process that knows the plugins in folder `path`."""
    environment = os.environ | {PLUGINS: plugins, "PYTHONPATH": os.pathsep.join([str(ROOT), str(path)])}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(process: subprocess.Popen) -> str:
    """What the process printed; it must have succeeded."""
    out, errors = process.communicate()
    assert process.returncode == 0, out + errors
    return out


def tool(name: str, *arguments, **plugins) -> str:
    """Run `tools/<name>.py`, which must succeed."""
    return finished(start(ROOT / "tools" / f"{name}.py", *arguments, **plugins))


def refusal(name: str, *arguments, **plugins) -> str:
    """The line that `tools/<name>.py` refuses with."""
    process = start(ROOT / "tools" / f"{name}.py", *arguments, **plugins)
    out, errors = process.communicate()
    assert process.returncode == 2 and out == "", out + errors
    assert errors.startswith("error: ") and errors.count("\n") == 1, errors
    return errors


def plugin(folder, text: str) -> dict:
    (folder / "one.py").write_text(text)
    return {"plugins": "one", "path": folder}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_plugin_that_is_missing_is_one_line(tmp_path, name):
    line = refusal(name, f"--model_dir={tmp_path / 'run'}", plugins="json, no_such_plugin")
    assert line.startswith(f"error: A module of {PLUGINS} cannot be imported") and "'no_such_plugin'" in line
    assert not (tmp_path / "run").exists()


def test_a_plugin_that_registers_twice_is_one_line(tmp_path):
    text = "from dartsminus_tf.spaces import families, register_family\nregister_family(families.DARTS)\n"
    line = refusal("search", **plugin(tmp_path, text))
    assert line == "error: A family or space of that name is there already. Received: 's4'\n"


def test_a_plugin_may_import_all_that_spaces_are_made_of(tmp_path):
    text = "from dartsminus_tf.spaces import find, get_space, register_family\nprint(get_space('s0').name)\n"
    assert tool("search", "--help", **plugin(tmp_path, text)).startswith("s0\nusage: ")
