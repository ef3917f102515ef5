"""See `dartsminus_tf/cli/search.py`."""

import sys

from dartsminus_tf.cli.search import run

if __name__ == "__main__":
    sys.exit(run())
