"""An instances JSON from disk, in any of JSON's encodings, and the checks of its outer structure."""

import json
from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError

SECTIONS = ("images", "annotations", "categories")


def read_json(path: str, name: str) -> object:
    """What a JSON file holds: UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Args:
      path: the file.
      name: of the argument that names it, for messages.

    Raises:
      UsageError: no such file, another encoding, or not JSON.
    """
    try:
        content = Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        absolute = str(Path(path).absolute())
        raise UsageError(f"{name}: no such file ({absolute!r}). Received: {path!r}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{name} cannot be read ({reason}). Received: {path!r}") from None
    try:
        return json.loads(content)
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} must be JSON in UTF-8 ({_where(content, error)}). Received: {path!r}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} must be a JSON file ({error}). Received: {path!r}") from None


def _where(content: bytes, error: UnicodeDecodeError) -> str:
    """The line of the first byte that is wrong, and what it would be in the encoding that Windows calls ANSI."""
    if not error.encoding.startswith("utf-8"):
        return f"{error.reason} in {error.encoding.upper()} at byte {error.start}; save it as UTF-8"
    line = content.count(b"\n", 0, error.start) + 1
    near = content[max(0, error.start - 12) : error.start + 8].decode("cp1252", "replace")
    return f"line {line}, byte {error.start} is none, near {near!r} if read as Latin-1; save it as UTF-8"


def load_annotations(path: str) -> dict:
    """Reads an instances JSON file and checks its outer structure.

    Raises:
      UsageError: see `read_json`; or it is not a mapping with three lists.
    """
    coco = read_json(path, "--annotations")
    if not isinstance(coco, dict):
        raise UsageError(f"--annotations must hold a JSON object. Received: {type(coco).__name__} in {path!r}")
    for section in SECTIONS:
        entries = coco.get(section)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UsageError(f"--annotations: {section!r} must be a list of objects. Received: {path!r}")
    if not coco["images"] or not coco["categories"]:
        raise UsageError(f"--annotations must name images and categories. Received: none in {path!r}")
    return coco
