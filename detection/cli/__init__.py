"""Command lines of the detection pipeline."""
