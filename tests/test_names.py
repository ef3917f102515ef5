"""Names of classes and runs that mean something to matplotlib, Markdown, HTML, CSV, a terminal: shown as they stand."""

import csv
import html
import io
import re
import shutil
from urllib.parse import unquote

import pytest
from matplotlib.text import Text

from dartsminus_tf.analysis import modes, spectrum
from dartsminus_tf.foundation import figures
from dartsminus_tf.foundation.disk.tables import csv_text, markdown
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import shown
from dartsminus_tf.foundation.runs.command import refuse, this_command
from dartsminus_tf.report import page as report
from dartsminus_tf.report import style
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from tests.legacy.artefacts import unpack

LONG = "x" * 5000
# name: (on one line, in a Markdown table)
NAMES = {
    "$x_$": ("$x_$", "\\$x\\_\\$"),
    "$\\frac{": ("$\\frac{", "\\$\\\\frac{"),
    "a^": ("a^", "a^"),
    "{": ("{", "{"),
    "\\": ("\\", "\\\\"),
    "$$": ("$$", "\\$\\$"),
    "a|b": ("a|b", "a\\|b"),
    "<script>alert(1)</script>": ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
    "&lt;": ("&lt;", "&amp;lt;"),
    "`rm`": ("`rm`", "\\`rm\\`"),
    "**b** ~~c~~": ("**b** ~~c~~", "\\*\\*b\\*\\* \\~\\~c\\~\\~"),
    "[a](javascript:b)": ("[a](javascript:b)", "[a\\](javascript:b)"),
    "_hidden_": ("_hidden_", "\\_hidden\\_"),
    "skip_connect": ("skip_connect", "skip_connect"),
    "a\nb": ("a\\nb", "a\\\\nb"),
    "a\r| 1 |": ("a\\r| 1 |", "a\\\\r\\| 1 \\|"),
    "\x1b[31mred": ("\\x1b[31mred", "\\\\x1b[31mred"),
    "\x1b]0;title\x07": ("\\x1b]0;title\\x07", "\\\\x1b]0;title\\\\x07"),
    "\x9b2J": ("\\x9b2J", "\\\\x9b2J"),
    "a\x00b": ("a\\x00b", "a\\\\x00b"),
    "a\u2028b": ("a\\u2028b", "a\\\\u2028b"),
    "\u202egpj.exe": ("\\u202egpj.exe", "\\\\u202egpj.exe"),
    "\ud800": ("\\ud800", "\\\\ud800"),
    "\U0001f431\u200d\U0001f464": ("\U0001f431\u200d\U0001f464", "\U0001f431\u200d\U0001f464"),
    "\u732b \u30cd\u30b3": ("\u732b \u30cd\u30b3", "\u732b \u30cd\u30b3"),
    "\u0430\u0301": ("\u0430\u0301", "\u0430\u0301"),
    "": ("", ""),
    LONG: (LONG, LONG),
}
PARAMETERS = [pytest.param(name, *ways, id=shown(name, 20)) for name, ways in NAMES.items()]


@pytest.mark.parametrize(("name", "line", "in_markdown"), PARAMETERS)
def test_texts(name, line, in_markdown, capsys, monkeypatch):
    assert shown(name) == line and shown(line) == line
    rows = [{"class": name, "ap": 0.5}, {"class": "plain", "ap": None}]
    table = markdown(rows).split("\n")
    assert len(table) == 5 and table[2].removeprefix("| ").partition(" | 0.5000 |")[0].rstrip() == in_markdown.rstrip()
    assert re.findall(r"(?<!\\)\|", table[2]) == ["|"] * 3
    read = list(csv.DictReader(io.StringIO(csv_text(rows), newline="")))
    assert [row["class"] for row in read] == [line, "plain"] and csv_text(rows).count("\n") == 3
    assert "\n" not in str(UsageError(f"bad. Received: {name}"))
    refuse(f"bad {name}")
    assert capsys.readouterr().err == f"error: bad {line}\n"
    csv_text(rows).encode(), markdown(rows).encode()


@pytest.mark.parametrize("longest", [1, 5, 60])
def test_long_names_are_cut_where_there_is_no_room(longest):
    assert shown("abc\x1bdefgh" * 20, longest) == ("abc\\x1bdefgh" * 20)[: longest - 1] + "\u2026"
    assert shown("a" * longest, longest) == "a" * longest


def test_a_command_of_control_characters_is_written_for_a_shell(monkeypatch):
    monkeypatch.setattr("sys.argv", ["tool", "--a=b c", "--d=\x1b[1m'\n\\", "--e=\xe9"])
    assert this_command() == "tool '--a=b c' $'--d=\\x1b[1m\\x27\\x0a\\x5c' '--e=\xe9'"


def texts(figure):
    """All texts of a figure, after it was drawn."""
    figures.png(figure)
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.mark.parametrize(("name", "line", "in_markdown"), PARAMETERS)
def test_figures(name, line, in_markdown):
    """Titles, legends, ticks and annotations."""
    figure, (axis,) = style.new_figure(1, 1, 14, 4)
    axis.plot([0, 1])
    axis.set_title(name)
    axis.set_xticks([0, 1], [shown(name, 10), "b"])
    axis.annotate(name, (0, 0))
    figures.add_legend(axis, axis.lines, [name])
    drawn = shown(name, figures.LONGEST_LABEL)
    assert drawn == line or len(line) > figures.LONGEST_LABEL
    assert drawn in texts(figure)
    assert axis.get_title() == axis.get_legend().get_texts()[0].get_text() == axis.texts[0].get_text() == drawn
    assert not any(text.get_parse_math() or text.get_usetex() for text in figure.findobj(Text))


def test_a_users_own_matplotlibrc_brings_no_mathematics(monkeypatch):
    monkeypatch.setitem(figures.matplotlib.rcParams, "text.usetex", True)
    monkeypatch.setitem(figures.matplotlib.rcParams, "axes.formatter.use_mathtext", True)
    figure, (axis,) = style.new_figure(1, 1, 5, 3)
    axis.plot([1e-9, 2e-9], label="$")
    axis.set_title("$\\foo$")
    assert "$\\foo$" in texts(figure)


@pytest.mark.parametrize(("name", "line", "in_markdown"), PARAMETERS)
def test_the_report(name, line, in_markdown, tmp_path):
    section = Section("cell", name)
    section.text(name)
    section.table([{"run": name, "x": 1}])
    figure, _ = style.new_figure(1, 1, 2, 1)
    section.figure(style.save(figure, tmp_path / "a.png"), name)
    page = section.write(tmp_path).read_text(encoding="utf-8")
    escaped = html.escape(line)
    for part in (f"<h2>{escaped}</h2>", f"<p>{escaped}</p>", f"<td>{escaped}</td>", f'alt="{escaped}"><figcaption>'):
        assert part in page
    assert "<script" not in page and html.unescape(escaped) == line


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return unpack("search_nasbench201", tmp_path_factory.mktemp("search")) / "search_nasbench201"


NO_FILES = ("\x00", "/", "\ud800", LONG)
FILE_NAMES = [name for name in NAMES if name and not any(part in name for part in NO_FILES)]
FILE_NAMES += ["y" * 200, "a#b?c%20", "-n", "q'\"q"]


@pytest.mark.parametrize("mode", ["alpha", "cell", "compare"])
def test_analyses_of_runs_of_these_names(mode, search, tmp_path):
    names = FILE_NAMES[::8] if mode == "alpha" else FILE_NAMES  # its figures take a second each
    for name in names:
        shutil.copytree(search, tmp_path / "runs" / name)
    request = Request([str(tmp_path / "runs")], tmp_path / "out", modes.settings_of(mode, [], []))
    modes.run(mode, request)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for name in names:
        assert html.escape(shown(name)) in page
    links = re.findall(r'href="\./([^"]*)"', page)
    assert len(links) == {"alpha": len(names), "cell": 0, "compare": 1}[mode]
    assert all((tmp_path / "out" / unquote(link)).is_file() for link in links)
    pictures = list((tmp_path / "out").glob("*.png"))
    assert len(pictures) == {"alpha": 2 * len(names), "cell": len(names), "compare": 2}[mode]


def test_spectra_of_runs_of_these_names():
    found = {name: [{"epochs": 1, "largest": 1.0, "spectrum": [0.5, 1.0]}] for name in list(NAMES)[:20]}
    for figure in (spectrum._trajectories(found), spectrum._last_spectra(found)):
        legend = figure.axes[0].get_legend()
        texts(figure)
        assert [text.get_text() for text in legend.get_texts()] == [shown(name, 60) for name in found]


def test_the_report_holds_no_second_way_of_writing_words():
    """What reaches the page goes through one function."""
    assert report._escaped("\x1b<&\"'") == "\\x1b&lt;&amp;&quot;&#x27;"
