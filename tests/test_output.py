"""A terminal that cannot print: the work goes on, what can be printed is, and the exit code is that of the work."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

WORK = """
import pathlib, sys
from dartsminus_tf.foundation.runs.command import run_command

def main(values):
    print("begun \\u732b", flush=True)
    for number in range(20_000):
        print(f"{number} \\xe9\\udcff", flush=number % 1000 == 0)
    print("to people", file=sys.stderr)
    pathlib.Path(sys.argv[1]).write_text("done")
    print("done \\u2713")

sys.exit(run_command(main, lambda values: None, ["tool"]))
"""
FIRST = {"ascii": rb"begun \u732b", "latin-1": rb"begun \u732b", "utf-8": "begun \u732b".encode()}
SECOND = {"ascii": rb"0 \xe9\udcff", "latin-1": b"0 \xe9\\udcff", "utf-8": "0 \xe9\\udcff".encode()}


def work(tmp_path, redirection="", code=WORK, **environment):
    """The ended process; `$0` in `redirection` runs it."""
    command = [sys.executable, "-c", code, str(tmp_path / "result")]
    shell = ["bash", "-c", f'"$0" "$@" {redirection}', *command] if redirection else command
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "LC_ALL")}
    variables |= {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(shell, capture_output=True, env=variables, check=False, timeout=60)


@pytest.mark.parametrize(
    ("encoding", "environment"),
    [
        ("ascii", {"PYTHONIOENCODING": "ascii"}),
        ("ascii", {"PYTHONIOENCODING": "ascii:strict"}),
        ("ascii", {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
        ("utf-8", {"LC_ALL": "C"}),
        ("latin-1", {"PYTHONIOENCODING": "latin-1"}),
        ("utf-8", {"PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(map("=".join, value.items())),
)
def test_characters_that_the_terminal_lacks_are_written_as_escapes(encoding, environment, tmp_path):
    ended = work(tmp_path, **environment)
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, b"to people\n")
    assert (lines[0], lines[1], len(lines)) == (FIRST[encoding], SECOND[encoding], 20_002)
    assert (tmp_path / "result").read_text() == "done"


LOST = b"output cannot be written (%s): the work goes on without it\nto people\n"


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        ("| head -1", LOST % b"Broken pipe"),
        ("| true", LOST % b"Broken pipe"),
        (
            "> /dev/full",
            LOST % b"No space left on device",
        ),
        (">&-", b"to people\n"),
        ("2>&-", b""),
        (">&- 2>&-", b""),
        (">&- 2>&- <&-", b""),
        ("2>&1 | head -1", b""),
        ("2> /dev/full", b""),
        ("> /dev/full 2> /dev/full", b""),
    ],
)
def test_output_that_nobody_reads(redirection, said, tmp_path):
    ended = work(tmp_path, f"{redirection}; exit ${{PIPESTATUS[0]}}")
    assert (ended.returncode, ended.stderr) == (0, said)
    assert (tmp_path / "result").read_text() == "done"


REFUSED = "from dartsminus_tf.cli.search import run; import sys; sys.exit(run(['tool', '--model_dir=$N\\u732b']))"


@pytest.mark.parametrize(
    ("redirection", "environment"),
    [("", {"PYTHONIOENCODING": "ascii"}), (">&-", {}), ("2> /dev/full", {}), ("2>&-", {})],
)
def test_exit_codes_stay(redirection, environment, tmp_path):
    ended = work(tmp_path, redirection, REFUSED, **environment)
    assert ended.returncode == 2 and b"Traceback" not in ended.stderr
    assert ended.stderr.count(b"\n") == (0 if redirection.startswith("2") else 1)


FAULT = """
import sys
from dartsminus_tf.foundation.runs.command import run_command
sys.exit(run_command(lambda values: 1 / 0, lambda values: None, ["tool"]))
"""


@pytest.mark.parametrize("environment", [{}, {"PYTHONIOENCODING": "ascii"}])
def test_a_fault_of_the_program_keeps_its_traceback(environment, tmp_path):
    ended = work(tmp_path, code=FAULT, **environment)
    assert ended.returncode == 1 and ended.stderr.endswith(b"ZeroDivisionError: division by zero\n")


def test_files_never_get_the_number_of_a_closed_stream(tmp_path):
    """What a library prints to standard error by its number would be written into them."""
    check = "    file = open(sys.argv[1] + '.other', 'w')\n    assert file.fileno() > 2\n"
    code = WORK.replace("def main(values):\n", f"def main(values):\n{check}")
    assert work(tmp_path, "<&- >&- 2>&-", code).returncode == 0


def test_streams_are_the_callers_again(capsys):
    from dartsminus_tf.foundation.runs.command import run_command

    before = sys.stdout, sys.stderr
    assert run_command(lambda values: print("a"), lambda values: None, ["tool"]) == 0
    assert (sys.stdout, sys.stderr) == before
