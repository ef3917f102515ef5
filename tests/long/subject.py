"""A command that is attacked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Subject:
    """A command that is attacked.

    Args:
        name: of the kind.
        module: its module, whose package says which zygote runs it.
        flags: folder that it writes to -> its flags.
        outcome: that folder -> what it came to; fails where it has not come to its end.
        is_done: whether it has come to its end, so that nobody gives the command again.
    """

    name: str
    module: str
    flags: Callable[[Path], list[str]]
    outcome: Callable[[Path], object]
    is_done: Callable[[Path], bool] = lambda folder: False

    @property
    def package(self) -> str:
        """Whose processes run it."""
        return self.module.partition(".")[0]
