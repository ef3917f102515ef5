"""Train, evaluate or run RetinaNet on an exported backbone; see docs/detection.md."""

import sys

from detection.cli.detect import run

if __name__ == "__main__":
    sys.exit(run())
