"""See `dartsminus_tf/cli/analyze.py`."""

import sys

from dartsminus_tf.cli.analyze import run

if __name__ == "__main__":
    sys.exit(run())
