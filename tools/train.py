"""See `dartsminus_tf/cli/train.py`."""

import sys

from dartsminus_tf.cli.train import run

if __name__ == "__main__":
    sys.exit(run())
