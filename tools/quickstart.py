"""See `dartsminus_tf/cli/quickstart.py`."""

import sys

from dartsminus_tf.cli.quickstart import run

if __name__ == "__main__":
    sys.exit(run())
