"""A finished training on disk for tests: one of before there were digests (`tests/legacy`), as it is and with them."""

import json
import random
import shutil
from pathlib import Path

from dartsminus_tf.cli import export
from dartsminus_tf.foundation.disk.digests import file_digest
from dartsminus_tf.foundation.runs.results import RESULT, write_result
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS
from tests.legacy.artefacts import unpack


def old_run(folder: Path) -> Path:
    """A run without digests, `folder`/run."""
    return (unpack("train_cell", folder) / "train_cell").rename(folder / "run")


def with_digests(old: Path, path: Path) -> Path:
    """A copy of `old` as runs are written now."""
    shutil.copytree(old, path)
    write_result(path, json.loads((path / RESULT).read_text()), {WEIGHTS: file_digest(path / WEIGHTS)})
    return path


def without_digests(path: Path) -> None:
    """Make a run an old one."""
    result = json.loads((path / RESULT).read_text())
    del result["digests"]
    (path / RESULT).write_text(json.dumps(result))


def flip(path: Path, seed: int) -> None:
    """Flip one bit of a file."""
    content, draw = bytearray(path.read_bytes()), random.Random(seed)
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(content))


def refused(capsys, path: Path, *flags: str) -> str:
    """What `export` says of a run; it must end with 2 after one line, and write nothing."""
    before = sorted(path.parent.rglob("*"))
    assert export.run(["export", f"--model_dir={path}", *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert sorted(path.parent.rglob("*")) == before
    return captured.err
