"""COCO layout (or embedded digit scenes) to TFRecords; see docs/detection.md."""

import sys

from detection.cli.prepare_coco import run

if __name__ == "__main__":
    sys.exit(run())
