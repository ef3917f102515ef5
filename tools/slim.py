"""See `dartsminus_tf/cli/slim.py`."""

import sys

from dartsminus_tf.cli.slim import run

if __name__ == "__main__":
    sys.exit(run())
