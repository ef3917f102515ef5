"""What all command lines share: private absl flags, errors on one line, exit codes.

Exit codes: 0, done, or stopped so that the same command goes on; 1, done, but inputs were left out, which are named;
2, refused, or failed for a reason that the one printed line says; 130, interrupted with nothing to go on from.
"""

import logging as python_logging
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags, logging

from dartsminus_tf.foundation.config.paths import define_path, define_paths
from dartsminus_tf.foundation.disk.lock import require_locks
from dartsminus_tf.foundation.errors import Interrupted, Stopped, UsageError, machine_fault
from dartsminus_tf.foundation.output import say, shown, unfailing_streams

EXIT_DONE, EXIT_INPUTS_LEFT_OUT, EXIT_REFUSED, EXIT_INTERRUPTED = 0, 1, 2, 130

Main = Callable[[flags.FlagValues], int | None]


def define_run_flags(values: flags.FlagValues, default_model_dir: str | None) -> None:
    """--config_file, --params_override, --model_dir and --quiet."""
    define_paths("config_file", "YAML config; may be repeated, later files win.", values)
    flags.DEFINE_multi_string(
        "params_override",
        [],
        "key.subkey=value, separated by commas or repeated; wins over files.",
        flag_values=values,
    )
    define_path("model_dir", default_model_dir, "The run directory.", values)
    flags.DEFINE_bool("quiet", False, "Print errors and the last line alone.", flag_values=values)


def run_command(main: Main, define: Callable[[flags.FlagValues], None], argv: Sequence[str] | None = None) -> int:
    """Parse flags, run `main`, and return the exit code.

    Printing never ends the work (see `output`). Ctrl-C and SIGTERM end with 0 once the run is saved, or at once where
    there is nothing to save (see `signals`).

    Args:
        main: what to do with the flags; returns None or an exit code.
        define: defines the command's flags.
        argv: program name and arguments; those of the process by default.
    """
    with unfailing_streams():
        return _exit_code(main, define, argv)


def _exit_code(main: Main, define: Callable[[flags.FlagValues], None], argv: Sequence[str] | None) -> int:
    _quieten()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        require_locks()
        values = parse_flags(sys.argv if argv is None else argv, define)
        return (main(values) if values is not None else None) or EXIT_DONE
    except UsageError as error:
        return refuse(str(error))
    except Stopped as stop:
        say(f"{stop}; go on with: {this_command()}")
    except Interrupted as interruption:
        return refuse(str(interruption), EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        print(f"\nstopped; go on from what is saved with: {this_command()}", flush=True)
    except Exception as error:
        line = machine_fault(error)
        if line is None:
            raise
        return refuse(" ".join(line.split()))
    return EXIT_DONE


def parse_flags(argv: Sequence[str], define: Callable[[flags.FlagValues], None]) -> flags.FlagValues | None:
    """Parse `argv` (program name first) into flags of this call only; global absl flags stay untouched.

    Returns:
        the flag values, or None where help was asked for and printed.

    Raises:
        UsageError: on an unknown flag, a value that cannot be parsed, or a stray argument.
    """
    values = flags.FlagValues()
    define(values)
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    try:
        rest = values(list(argv))
    except flags.Error as error:
        raise UsageError(f"{error} (see --help)") from None
    if values.help:
        print(f"usage: {os.path.basename(argv[0])} [flags]\n{values.main_module_help() or values}")
        return None
    if len(rest) > 1:
        raise UsageError(f"Arguments must be --flag=value. Received: {' '.join(rest[1:])}")
    return values


def this_command() -> str:
    """The command line that this process was started with, ready for a shell."""
    return " ".join(map(_quoted, _arguments()))


def _arguments() -> list[str]:
    if sys.argv[0] == "-c":
        return sys.orig_argv
    if not sys.argv[0].endswith(".py"):
        return sys.argv
    name = Path(sys.executable).name
    return [name if shutil.which(name) == sys.executable else sys.executable, *sys.argv]


def _quoted(argument: str) -> str:
    """`argument` as a shell reads it, without control characters."""
    if shown(argument) == argument:
        return shlex.quote(argument)
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b"\\'" else f"\\x{byte:02x}" for byte in os.fsencode(argument)
    )
    return f"$'{''.join(plain)}'"


def _quieten() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read by TensorFlow when it is imported
    logging.set_verbosity(logging.WARNING)
    # TensorFlow warns of every optimizer slot that evaluation leaves unread.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)


def refuse(message: str, code: int = EXIT_REFUSED) -> int:
    """Print one line; returns the exit code."""
    print(f"error: {shown(message)}", file=sys.stderr)
    return code
