"""Paths as people write them: `~` and `$VAR` mean what they mean in a shell, in configs, overrides and flags alike."""

import os
import re
from typing import Annotated

from absl import flags
from pydantic import AfterValidator, Field

from dartsminus_tf.foundation.errors import UsageError

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


PathText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(expanded)]


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
