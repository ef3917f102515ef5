"""What a user can cause, said on one line that says what to do; a wanted stop; and faults of the place written to."""

import errno
from typing import Any

LONGEST = 2000
_NAMES = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE")
WRITE_ERRORS = tuple(getattr(errno, name) for name in _NAMES)  # of a place: full, forbidden, gone


class UsageError(ValueError):
    """A wrong argument, config value, file or genotype. Command lines print it alone and exit with code 2.

    Its message is one line of at most `LONGEST` characters, whatever was received.
    """

    def __init__(self, message: str):
        line = " ".join(str(message).split())
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}...")


def brief(error: BaseException, longest: int = 160) -> str:
    """The beginning of what a library says, on one line; the kind of error where it says nothing."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


class Stopped(Exception):
    """A run that was asked to stop has saved its state; the message says where. Command lines exit with code 0."""


class Interrupted(Exception):
    """Work that appears whole or not at all was interrupted: nothing is there. Command lines exit with code 130."""


def require(holds: bool, rule: str, received: Any) -> None:
    """Refuse what breaks a rule.

    Raises:
        UsageError: "<rule>. Received: <received>", unless `holds`.
    """
    if not holds:
        raise UsageError(f"{rule}. Received: {received!r}")
