"""See `dartsminus_tf/cli/export.py`."""

import sys

from dartsminus_tf.cli.export import run

if __name__ == "__main__":
    sys.exit(run())
