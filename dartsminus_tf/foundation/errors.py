"""What a user can cause, said on one line that says what to do; a wanted stop; and faults of the place written to."""

import errno
import os
import re
import sys
from typing import Any

from dartsminus_tf.foundation.output import shown

LONGEST = 2000
_NOTHING = re.compile("Received: None$")
_OF_A_PLACE = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE")  # full, forbidden, gone
_OF_A_NAME = ("ENOENT", "EISDIR", "ENOTDIR", "EEXIST", "ENOTEMPTY", "ENAMETOOLONG", "ELOOP", "EMFILE", "ENFILE")
_PLACE_NUMBERS, _NAME_NUMBERS = ([getattr(errno, name) for name in names] for names in (_OF_A_PLACE, _OF_A_NAME))
# TensorFlow's classes of errors that are not the program's: of files and their content, of memory, of other machines.
_TENSORFLOW = (
    *("NotFoundError", "PermissionDeniedError", "AlreadyExistsError", "FailedPreconditionError", "DataLossError"),
    *("ResourceExhaustedError", "AbortedError", "UnavailableError", "DeadlineExceededError", "UnimplementedError"),
)
_MEMORY = re.compile(r"OOM|allocat|out of memory|could not create a primitive", re.IGNORECASE)
NO_MEMORY = "not enough memory: a smaller batch_size or image_size, or fewer channels or layers, would need less"


class UsageError(ValueError):
    """A wrong argument, config value, file or genotype. Command lines print it alone and exit with code 2.

    Its message is one line of at most `LONGEST` characters without control characters, whatever was received.
    """

    def __init__(self, message: str):
        line = _NOTHING.sub("Received: nothing", shown(" ".join(str(message).split())[: LONGEST + 1]))
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


def write_fault(error: BaseException) -> str | None:
    """Why a place could not be written to (or read), in a few words; None of other errors.

    HDF5 hides the number of the system's error in the text of an OSError or RuntimeError.
    """
    if isinstance(error, OSError | RuntimeError):
        found = re.search(r"errno = (\d+)", str(error))
        number = getattr(error, "errno", None) or (int(found[1]) if found else None)
        return os.strerror(number) if number in _PLACE_NUMBERS else None
    reason = _tensorflow_reason(error)
    full = reason is not None and ("No space left" in reason or type(error).__name__ == "PermissionDeniedError")
    return reason if full else None


def machine_fault(error: BaseException) -> str | None:
    """The line for an error of the machine, not of the program: places, files, memory, TensorFlow's own; else None.

    TensorFlow's errors are known by their classes, once it is imported.
    """
    if isinstance(error, MemoryError):
        return f"{NO_MEMORY}. Received: {str(error) or 'MemoryError'}"
    if isinstance(error, OSError) and error.errno in _NAME_NUMBERS and error.filename is not None:
        return f"cannot read or write ({os.strerror(error.errno)}). Received: {error.filename!r}"
    reason = _tensorflow_reason(error)
    if reason is not None:
        return f"{NO_MEMORY if _MEMORY.search(reason) else 'TensorFlow failed'}. Received: {reason}"
    reason = write_fault(error)
    if reason is None:
        return None
    file = getattr(error, "filename", None)
    named = re.search(r"name = '([^']*)'", str(error))
    return f"cannot read or write ({reason}). Received: {file or (named[1] if named else str(error))!r}"


def _tensorflow_reason(error: BaseException) -> str | None:
    """TensorFlow's own line, without its stacks and names of nodes; None where it is no such error of `_TENSORFLOW`."""
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)
    if errors is None or not isinstance(error, tuple(getattr(errors, name) for name in _TENSORFLOW)):
        return None
    return first_reason(error.message)


def first_reason(message: str) -> str:
    """What happened, out of a TensorFlow message: a stack may stand before it, names of nodes around it."""
    found = re.search(r"([^\n]+)\n\s*\[\[", message) or re.search(r"[^\n]*\S[^\n]*", message)
    line = re.sub(r"\{\{[^}]*\}\}|\[\[.*|\[Op:\w+\].*", "", found[0] if found else "").strip()
    return line[:300] or "no reason given"
