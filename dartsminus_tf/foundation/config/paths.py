"""Paths as people write them: `~` and `$VAR` mean what they mean in a shell, in configs, overrides and flags alike.

A run keeps absolute paths: its settings mean the same from every folder.
"""

import os
import re
from typing import Annotated

from absl import flags
from pydantic import AfterValidator, Field

from dartsminus_tf.foundation.errors import UsageError

PATTERN_MARKS = "[]*?\\"
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")


def expanded(path: str) -> str:
    """`path` with the home folder and environment variables in their places; one that is there as it stands is kept.

    Raises:
        UsageError: where it names a user or a variable that there is not: nobody means a folder of that name.
    """
    if not path or os.path.lexists(path):
        return path
    full = os.path.expandvars(os.path.expanduser(path))
    left = _VARIABLE.search(full)
    if left or full.startswith("~"):
        missing = f"variable {left[0]}" if left else f"user {full.split('/')[0]}"
        raise UsageError(f"A path names the {missing}, which there is not. Received: {path!r}")
    return full


def absolute(path: str) -> str:
    """`path`, expanded, from the root on; a place of another machine (`scheme://...`) stays as it is."""
    full = expanded(path)
    return os.path.abspath(full) if full and not _REMOTE.match(full) else full


def require_no_pattern(name: str, path: str) -> None:
    """Refuse a place in whose name TensorFlow would see a pattern of names.

    Raises:
        UsageError: where it has a bracket, `*`, `?` or a backslash.
    """
    if set(path) & set(PATTERN_MARKS):
        rule = f"{name} must have none of {PATTERN_MARKS}, which TensorFlow reads as patterns"
        raise UsageError(f"{rule}. Received: {path!r}")


PathText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(absolute)]


class _PathParser(flags.ArgumentParser):
    """Parser of a flag's path."""

    def parse(self, argument: str) -> str:
        return expanded(argument)


def define_path(name: str, default: str | None, help: str, values: flags.FlagValues) -> None:  # noqa: A002  absl's
    """A flag that holds a path."""
    flags.DEFINE(_PathParser(), name, default, help, flag_values=values)


def define_paths(name: str, help: str, values: flags.FlagValues) -> None:  # noqa: A002
    """A flag that holds a path and may be repeated."""
    flags.DEFINE_multi(_PathParser(), flags.ArgumentSerializer(), name, [], help, flag_values=values)
