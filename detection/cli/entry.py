"""What both command lines share: private absl flags, quiet defaults, one-line errors with exit code 2."""

import errno
import logging as python_logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from absl import flags, logging

from detection.errors import DetectionError, Stopped

# Read by TensorFlow when it is imported, so they are set before. Each can be overridden from the shell.
_ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",  # Model Garden is written against tf_keras
    "TF_ENABLE_ONEDNN_OPTS": "1",  # off by default on AMD CPUs, where it halves the step
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def prepare_environment() -> None:
    """Sets TensorFlow's environment where the shell has not, and absl's log level to warnings."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.set_verbosity(logging.WARNING)
    # TensorFlow warns of every optimizer slot that evaluation leaves unread.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)


def parse_flags(argv: Sequence[str], define: Callable[[flags.FlagValues], None]) -> flags.FlagValues | None:
    """Parses `argv` (program name first) into flags of this call only; global absl flags stay untouched.

    Returns:
      The flag values, or None when help was asked for and printed.

    Raises:
      DetectionError: unknown flag, unparsable value or a stray positional argument.
    """
    values = flags.FlagValues()
    define(values)
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    try:
        rest = values(list(argv))
    except flags.Error as error:
        raise DetectionError(str(error)) from None
    if values.help:
        print(f"usage: {os.path.basename(argv[0])} [flags]\n{values.main_module_help() or values}")
        return None
    if len(rest) > 1:
        raise DetectionError(f"arguments must be --flag=value. Received: {rest[1]!r}")
    return values


def run_command(
    main: Callable[[flags.FlagValues], None],
    define: Callable[[flags.FlagValues], None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parses flags, runs `main`, and returns the exit code: 0 (also when it was asked to stop), or 2 after a one-line
    message."""
    prepare_environment()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        values = parse_flags(sys.argv if argv is None else argv, define)
        if values is not None:
            main(values)
    except DetectionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"{stop}; the same command goes on from there")
    except KeyboardInterrupt:
        print("stopped: the same command goes on from what is saved", file=sys.stderr)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        print(f"error: cannot write ({error.strerror}). Received: {error.filename!r}", file=sys.stderr)
        return 2
    return 0
