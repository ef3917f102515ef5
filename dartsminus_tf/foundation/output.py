"""What people read: names on one line without control characters, and streams that never end the work.

Names of classes, runs and files are others' words: as they stand, they may move a cursor, colour a terminal, begin a
new row of a table, or turn text around. Where they are shown, such characters are written as Python would write them.
"""

import contextlib
import io
import os
import sys
import unicodedata
from collections.abc import Iterator

_HIDDEN = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of a pair, ends of lines and paragraphs
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ELLIPSIS = "\u2026"


def shown(text: object, longest: int | None = None) -> str:
    """`text` on one line: control characters, lone surrogates and changes of direction as escapes (`\\n`, `\\x1b`).

    Args:
        text: anything; its `str` is taken.
        longest: characters at most; the end of a longer text is cut off and marked by an ellipsis.
    """
    words = str(text) if longest is None else str(text)[: longest + 1]
    if not (words.isascii() and words.isprintable()):
        words = "".join(map(_visible, words))
    return words if longest is None or len(words) <= longest else words[: longest - 1] + _ELLIPSIS


def say(text: object) -> None:
    """Print one line, which is `shown`, at once."""
    print(shown(text), flush=True)


def _visible(char: str) -> str:
    hidden = unicodedata.category(char) in _HIDDEN or char in _DIRECTIONS
    return char.encode("unicode_escape").decode("ascii") if hidden else char


@contextlib.contextmanager
def unfailing_streams() -> Iterator[None]:
    """While it is entered, printing cannot fail: the work counts, and its files say all of it.

    Characters that the terminal's encoding lacks are written as escapes. A stream that is closed, or that cannot be
    written to any more (a pipe whose reader is gone, a full disk), is replaced by nothing, which is said on standard
    error where that is possible.
    """
    _occupy_closed_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_unfailing(stream) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = (old or new for old, new in zip(before, (sys.stdout, sys.stderr), strict=True))


def _occupy_closed_descriptors() -> None:
    """The next file to be opened would get a closed one's number, and with it what libraries print."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number


def _unfailing(stream):
    if stream is None:  # it was closed when Python started
        return open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: SIM115  for the rest of the process
    try:
        number = stream.fileno()
        raw = getattr(stream.buffer, "raw", stream.buffer)
    except (AttributeError, OSError, ValueError):  # somebody else's, such as a notebook's
        return stream
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.FileIO):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Dropping(number)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


class _Dropping(io.FileIO):
    """A file that becomes the null device when it cannot be written to; its number stays open when it goes."""

    def __init__(self, number: int):
        super().__init__(number, "w", closefd=False)

    def write(self, data) -> int | None:
        """Bytes that were written, or dropped."""
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if self.fileno() != 2:
                print(f"output cannot be written ({error.strerror}): the work goes on without it", file=sys.stderr)
            return len(data)
