"""Which files are pictures by their names: those with an ending of `SUFFIXES` that are not hidden."""

import collections
from pathlib import PurePath

from dartsminus_tf.foundation.output import shown

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm")
)
_NOT_FOR_EYES = frozenset(  # what systems and programs put among pictures, besides names that begin with a dot
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found", "__pycache__")
    + ("system volume information",)
)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not for people's eyes: `._x.jpg`, `.ipynb_checkpoints`, `__MACOSX`, `Thumbs.db`."""
    return name.startswith(".") or name.casefold() in _NOT_FOR_EYES


def is_picture_name(name: str) -> bool:
    """Whether a file of this name is taken for a picture."""
    return not is_hidden(name) and ending(name) in SUFFIXES


def ending(name: str) -> str:
    """`.jpg` of `A.JPG`; words where there is none."""
    return PurePath(name).suffix.lower() or "without ending"


def by_ending(passed_over: collections.Counter) -> str:
    """`5 files that are no pictures by their ending: .heic 3, .txt 2`."""
    named = ", ".join(f"{shown(kind, 20)} {count}" for kind, count in sorted(passed_over.items()))
    return f"{passed_over.total()} files that are no pictures by their ending: {named}"
