"""The file of one section of the report: checked when it is read, since it may come from anybody.

A section holds texts, tables, and plain names of files that lie beside the report. Nothing else of it reaches the page:
figures are PNG files that matplotlib wrote, all words are escaped.
"""

import base64
import io
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Self

from PIL import Image
from pydantic import Field, ValidationError, model_validator

from dartsminus_tf.foundation.config.typed import Strict
from dartsminus_tf.foundation.errors import UsageError

LARGEST_SECTION, LARGEST_FIGURE = 50 * 2**20, 20 * 2**20  # bytes
MOST_PIXELS = 10**8
MAKER = "Matplotlib"  # what its PNG files say of their origin

Words = Annotated[str, Field(max_length=10**6)]
FileName = Annotated[str, Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$", max_length=255)]


class Item(Strict):
    """A paragraph, a table, a figure with its caption, or a data file: one of them."""

    text: Words | None = None
    table: Annotated[list[dict[Words, Words]], Field(max_length=10**6)] | None = None
    figure: FileName | None = None
    caption: Words | None = None
    file: FileName | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in ("text", "table", "figure", "file") if getattr(self, name) is not None]
        if len(given) != 1 or (self.caption is not None) != (given == ["figure"]):
            raise ValueError("an item is a text, a table, a figure with a caption, or a file")
        return self


class Content(Strict):
    """What the file of a section holds."""

    mode: Annotated[str, Field(pattern=r"^\w+$", max_length=100)]
    title: Words
    items: Annotated[list[Item], Field(max_length=10**5)]


def read_section(path: Path) -> Content:
    """The section in `path`.

    Raises:
        UsageError: where it is none, or names a figure that is not the report's.
    """
    try:
        content = Content.model_validate_json(_bytes_of(path, LARGEST_SECTION))
        if content.mode != path.stem:
            raise ValueError(f"it says that it is section {content.mode!r}")
        for item in content.items:
            if item.figure is not None:
                figure(path.parent.parent, item.figure)
    except (OSError, ValueError) as error:
        reason = _first(error) if isinstance(error, ValidationError) else getattr(error, "strerror", None) or error
        raise UsageError(f"A section of the report is damaged ({reason}): delete it. Received: {path}") from None
    return content


def figure(directory: Path, name: str) -> tuple[str, int, int]:
    """A figure as base64, its width and its height in pixels.

    Raises:
        ValueError, OSError: where `name` is not that of a PNG file which matplotlib wrote in `directory` itself.
    """
    data = _bytes_of(directory / name, LARGEST_FIGURE)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            width, height = picture.size
            made_by = str(picture.info.get("Software", ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ValueError(f"{name!r} is no PNG file") from None
    if not made_by.startswith(MAKER) or width * height > MOST_PIXELS:
        raise ValueError(f"{name!r} is no figure of an analysis")
    return base64.b64encode(data).decode("ascii"), width, height


def _bytes_of(path: Path, most: int) -> bytes:
    """The content of a regular file that is no link; a device or a pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > most:
            raise ValueError(f"{path.name!r} is no regular file of at most {most} bytes")
        return file.read(most)


def _first(error: ValidationError) -> str:
    """The first problem, without what was received."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return re.sub(r"^Value error, ", "", f"{where}: {first['msg']}" if where else first["msg"])
