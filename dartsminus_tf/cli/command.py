"""What the command lines share: flags, errors on one line, exit codes."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging

from dartsminus_tf.config import RuntimeConfig
from dartsminus_tf.errors import Stopped, UsageError
from dartsminus_tf.runtime import configure

EXIT_USAGE = 2


def define_run_flags(default_model_dir: str) -> None:
    """--config_file, --params_override, --model_dir and --quiet."""
    flags.DEFINE_multi_string("config_file", [], "YAML config; may be repeated, later files win.")
    flags.DEFINE_multi_string(
        "params_override", [], "key.subkey=value, separated by commas or repeated; wins over files."
    )
    flags.DEFINE_string("model_dir", default_model_dir, "The run directory.")
    flags.DEFINE_bool("quiet", False, "Print errors and the last line alone.")


def run_overrides() -> list[str]:
    """The overrides that the flags of `define_run_flags` mean."""
    return [*flags.FLAGS.params_override, *["runtime.verbose=0"] * flags.FLAGS.quiet]


def configure_runtime(config: RuntimeConfig) -> None:
    """Set TensorFlow up as `config` says; comes before any other use of it."""
    configure(
        deterministic=config.deterministic,
        inter_op_threads=config.inter_op_threads,
        intra_op_threads=config.intra_op_threads,
    )


def run_command(main: Callable[[], None]) -> None:
    """Run `main` under absl. A UsageError or a wrong flag prints one line and exits with 2.

    Ctrl-C and SIGTERM exit with 0 once the run is saved, or at once where there is nothing to save; see
    `safeguards.signals`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def guarded(argv):
        absl_logging.set_verbosity(absl_logging.WARNING)
        try:
            if len(argv) > 1:
                raise UsageError(f"Arguments are given as --flag=value. Received: {' '.join(argv[1:])}")
            main()
        except UsageError as error:
            fail(str(error))
        except Stopped as stop:
            print(f"{stop}; go on with: {this_command()}", flush=True)
        except KeyboardInterrupt:
            print(f"\nstopped; go on from the last checkpoint with: {this_command()}", flush=True)

    app.run(guarded, flags_parser=_parse)


def this_command() -> str:
    """The command line that this process was started with, ready for a shell."""
    return shlex.join([Path(sys.executable).name, *sys.argv] if sys.argv[0].endswith(".py") else sys.argv)


def fail(message: str) -> None:
    """Print one line and exit with 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(EXIT_USAGE)


def _parse(argv):
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        return fail(f"{error} (see --help)")
