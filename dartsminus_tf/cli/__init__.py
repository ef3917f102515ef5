"""Command lines. Their flags and configs are checked before TensorFlow is imported."""
