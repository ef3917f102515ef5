"""What the command lines share: flags, errors on one line, exit codes."""

import os
import sys
from collections.abc import Callable

from absl import app, flags
from absl import logging as absl_logging

from dartsminus_tf.errors import UsageError

EXIT_USAGE = 2


def define_run_flags(default_model_dir: str) -> None:
    """--config_file, --params_override and --model_dir."""
    flags.DEFINE_multi_string("config_file", [], "YAML config; may be repeated, later files win.")
    flags.DEFINE_multi_string(
        "params_override", [], "key.subkey=value, separated by commas or repeated; wins over files."
    )
    flags.DEFINE_string("model_dir", default_model_dir, "The run directory.")


def run_command(main: Callable[[], None]) -> None:
    """Run `main` under absl. A UsageError or a wrong flag prints one line and exits with 2; Ctrl-C exits with 130."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def guarded(argv):
        absl_logging.set_verbosity(absl_logging.WARNING)
        try:
            if len(argv) > 1:
                raise UsageError(f"Arguments are given as --flag=value. Received: {' '.join(argv[1:])}")
            main()
        except UsageError as error:
            fail(str(error))
        except KeyboardInterrupt:
            print("\ninterrupted; the same command goes on from the last epoch", file=sys.stderr)
            sys.exit(130)

    app.run(guarded, flags_parser=_parse)


def fail(message: str) -> None:
    """Print one line and exit with 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(EXIT_USAGE)


def _parse(argv):
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        return fail(f"{error} (see --help)")
