"""A section file of the report from somebody else: it brings neither script nor any file, and nothing is waited for."""

import json
import os
import socket
import struct
import time
import zlib

import pytest
from PIL import Image, PngImagePlugin

from dartsminus_tf.analysis import modes
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.report.page import Section, write_report
from dartsminus_tf.report.request import Request
from dartsminus_tf.report.sections import LARGEST_FIGURE, LARGEST_SECTION
from dartsminus_tf.report.style import new_figure, save

GOOD = {"mode": "cell", "title": "Cells", "items": [{"text": "a"}, {"figure": "own.png", "caption": "c"}]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`out` holds a report of one section; beside it and in it is what must not be shown."""
    tmp_path = tmp_path_factory.mktemp("report")
    out = tmp_path / "out"
    section = Section("cell", "Cells")
    section.figure(save(new_figure(1, 1, 2, 1)[0], out / "own.png"), "c")
    section.write(out)
    save(new_figure(1, 1, 2, 1)[0], tmp_path / "outside.png")
    (out / "below").mkdir()
    save(new_figure(1, 1, 2, 1)[0], out / "below" / "figure.png")
    (out / "secret.png").write_text("password")
    (out / "svg.png").write_text('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
    Image.new("RGB", (4, 4)).save(out / "photo.png")
    Image.new("RGB", (4, 4)).save(out / "jpeg.png", format="JPEG")
    (out / "link.png").symlink_to(tmp_path / "outside.png")
    (out / "device.png").symlink_to("/dev/zero")
    os.mkfifo(out / "pipe.png")
    (out / "folder.png").mkdir()
    with open(out / "huge.png", "wb") as file:
        file.truncate(LARGEST_FIGURE + 1)
    (out / "bomb.png").write_bytes(bomb())
    with socket.socket(socket.AF_UNIX) as place, pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)  # its path may be too long for a socket's
        place.bind("socket.png")
    return out


@pytest.fixture
def folder(made):
    yield made
    for path in (made / "sections").iterdir():
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    (made / "sections" / "cell.json").write_text(json.dumps(GOOD))
    write_report(made)


def bomb():
    """A PNG that says that matplotlib wrote it, of 4 * 10**9 pixels."""
    header = struct.pack(">IIBBBBB", 65_000, 65_000, 8, 2, 0, 0, 0)
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "Matplotlib")
    chunks = [
        (b"IHDR", header),
        *((kind, content) for kind, content, *_ in info.chunks),
        (b"IDAT", b""),
        (b"IEND", b""),
    ]
    body = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def figure(name):
    return {**GOOD, "items": [{"figure": name, "caption": "c"}]}


ATTACKS = {
    **{
        name: figure(name)
        for name in (
            *(
                "../outside.png",
                "below/figure.png",
                "below\\figure.png",
                "/etc/passwd",
                "secret.png",
                "svg.png",
                "photo.png",
            ),
            *("jpeg.png", "link.png", "device.png", "pipe.png", "folder.png", "socket.png", "huge.png", "bomb.png"),
            *(
                "javascript:alert(1)",
                "https://example.org/a.png",
                "//example.org/a.png",
                "data:text/html,a",
                "file:///etc/passwd",
            ),
            *(".", "..", "", "absent.png", "a\x00.png", "own.png\n", ".hidden.png", "x" * 5000),
        )
    },
    "a figure without a caption": {**GOOD, "items": [{"figure": "own.png"}]},
    "a figure that is no text": {**GOOD, "items": [{"figure": ["own.png"], "caption": "c"}]},
    "two things in one": {**GOOD, "items": [{"figure": "own.png", "caption": "c", "text": "a"}]},
    "nothing in one": {**GOOD, "items": [{}]},
    "a caption alone": {**GOOD, "items": [{"caption": "c"}]},
    "unknown keys": {**GOOD, "items": [{"html": "<script>alert(1)</script>"}]},
    "a file elsewhere": {**GOOD, "items": [{"file": "../../etc/passwd"}]},
    "an absolute file": {**GOOD, "items": [{"file": "/etc/passwd"}]},
    "a mode that ends its attribute": {**GOOD, "mode": '"><script>alert(1)</script>'},
    "another section's mode": {**GOOD, "mode": "alpha"},
    "a title that is no text": {**GOOD, "title": 7},
    "a table of numbers": {**GOOD, "items": [{"table": [{"a": 1}]}]},
    "a table that is none": {**GOOD, "items": [{"table": "abc"}]},
    "no title": {"mode": "cell", "items": []},
    "a list": [],
    "null": None,
}
RAW = {
    "empty": b"",
    "half": b'{"mode": "cell", "title": "Cel',
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"mode": "cell", "title": "\xff", "items": []}',
    "NaN": b'{"mode": "cell", "title": NaN, "items": []}',
    "huge number": b'{"mode": "cell", "title": ' + b"9" * 10_000 + b', "items": []}',
    **{name: json.dumps(content).encode() for name, content in ATTACKS.items()},
}


@pytest.mark.parametrize("name", RAW, ids=[name[:30].replace("\x00", "0") for name in RAW])
def test_attacks_are_refused(name, folder):
    before = (folder / "report.html").read_bytes()
    (folder / "sections" / "cell.json").write_bytes(RAW[name])
    with pytest.raises(
        UsageError, match=r"^A section of the report is damaged \(.+\): delete it\. Received: .*cell\.json$"
    ):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == before


def make_pipe(path):
    os.mkfifo(path)


def make_large(path):
    with open(path, "wb") as file:
        file.truncate(LARGEST_SECTION + 1)


@pytest.mark.parametrize(
    "make",
    [
        make_pipe,
        make_large,
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("absent"),
    ],
    ids=["pipe", "large", "folder", "device", "link", "broken link"],
)
def test_section_files_that_are_no_files(make, folder):
    make(folder / "sections" / "other.json")
    start = time.monotonic()
    with pytest.raises(UsageError, match=r"other\.json$"):
        write_report(folder)
    assert time.monotonic() - start < 2


def test_what_is_refused_is_refused_before_the_analysis(folder, monkeypatch):
    (folder / "sections" / "other.json").write_text("{}")
    monkeypatch.setattr(modes, "load_entry", lambda *_: pytest.fail)
    with pytest.raises(UsageError, match=r"other\.json$"):
        modes.run("skip_advantage", Request([], folder, None))


def test_words_of_a_section_are_words(folder):
    words = "<script>alert(1)</script><img src=x onerror=alert(1)>'\" &amp; javascript:alert(1) \x1b[31m"
    content = {
        "mode": "cell",
        "title": words,
        "items": [
            {"text": words},
            {"table": [{words: words}]},
            {"figure": "own.png", "caption": words},
            {"file": "javascript:alert(1)"},
            {"file": 'a"b<c>#d?e%2f.csv'},
        ],
    }
    (folder / "sections" / "cell.json").write_text(json.dumps(content))
    page = write_report(folder).read_text()
    assert page.count("<img") == 1 and "<script" not in page and "\x1b" not in page and page.count("onerror") == 7
    assert 'href="./javascript%3Aalert%281%29"' in page and 'href="./a%22b%3Cc%3E%23d%3Fe%252f.csv"' in page
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page


def test_leftovers_of_a_killed_process_are_no_sections(folder):
    (folder / "sections" / ".12345@host.tmp.alpha.json").write_text("{")
    write_report(folder)


def test_a_genotype_is_a_small_regular_file(tmp_path):
    from dartsminus_tf.spaces.find import find_genotype

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.json").write_text("{" + " " * 2 * 2**20)
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "genotype.json")
    start = time.monotonic()
    for place in (
        "/dev/zero",
        "/dev/stdin",
        "/dev/tty",
        *(str(tmp_path / name) for name in ("pipe", "large.json", "link", "folder")),
    ):
        with pytest.raises(UsageError, match="regular one of at most 1000000 bytes|genotype must be"):
            find_genotype(place)
    assert time.monotonic() - start < 5
