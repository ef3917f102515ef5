"""Files that belong together: SHA-256 digests in a JSON file beside them, checked before anything reads them.

    {..., "digests": {"model.weights.h5": "<hex>", ..., "result.json": "<hex>"}}

The last is the JSON file's own: of its content without itself, and without `seconds` at any depth, so that two runs
that did the same have the same one. A file of before there were digests has none and is taken as it stands.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from dartsminus_tf.foundation.errors import UsageError

KEY = "digests"
_UNSEALED = "seconds"


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hex.

    Raises:
        UsageError: where it is no regular file, or cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"No such file, or no regular one. Received: {path}")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"The file cannot be read ({error.strerror}). Received: {path}") from None


def folder_digests(folder: Path) -> dict[str, str]:
    """{path within `folder`, with slashes: digest} of all regular files at any depth."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def sealed(value: Mapping, name: str, files: Mapping[str, str] | None = None) -> dict:
    """`value` with `digests`: those of `files`, and its own under `name`, the name of the file that it goes into."""
    value = {key: entry for key, entry in value.items() if key != KEY} | {KEY: dict(files or {})}
    value[KEY][name] = _own_digest(value, name)
    return value


def digests_of(value: Mapping) -> dict[str, str]:
    """The digests that a JSON file of this content holds, its own included; none where it is older than they are."""
    return value.get(KEY) or {}


def require_files(value: Mapping, file: Path, names: list[str], advice: str) -> None:
    """Refuse files that are not those that the JSON file `file` was written with.

    Args:
        value: its content.
        file: its place; `names` are relative to its folder. Those that it holds no digest of are passed over.
        names: what is about to be read.
        advice: what to do, for the message.

    Raises:
        UsageError: where one is missing, or has another content.
    """
    expected = digests_of(value)
    for name in names:
        path = file.parent / name
        if name in expected and not path.is_file():
            raise UsageError(f"A file that {file.name} names is missing: {advice}. Received: {path}")
        if name in expected and file_digest(path) != expected[name]:
            raise UsageError(
                f"The file does not belong to the {file.name} beside it (it has another SHA-256: damaged, changed, or "
                f"of another run): {advice}. Received: {path}"
            )


def require_seal(value: Mapping, file: Path, advice: str) -> None:
    """Refuse a JSON file whose content is not what was written; one without a digest of its own is taken as it stands.

    Raises:
        UsageError: where it was changed or damaged, or its `digests` are none.
    """
    if value.get(KEY) is not None and not _is_sealed(value, file.name):
        raise UsageError(
            f"The file is not what was written (it has another SHA-256: damaged or changed): {advice}. Received: {file}"
        )


def _is_sealed(value: Mapping, name: str) -> bool:
    digests = value[KEY]
    if not isinstance(digests, dict) or not all(isinstance(digest, str) for digest in digests.values()):
        return False
    try:
        return digests.get(name) == _own_digest(value, name)
    except RecursionError:  # a tree that no code of ours writes
        return False


def _own_digest(value: Mapping, name: str) -> str:
    digests = {key: digest for key, digest in value[KEY].items() if key != name}
    plain = json.loads(json.dumps({**value, KEY: digests}))  # as it is read back
    return hashlib.sha256(json.dumps(_without_times(plain), sort_keys=True).encode()).hexdigest()


def _without_times(tree):
    if isinstance(tree, dict):
        return {key: _without_times(value) for key, value in tree.items() if key != _UNSEALED}
    return [_without_times(value) for value in tree] if isinstance(tree, list) else tree
