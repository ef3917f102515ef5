"""What searches and detectors guard their runs with: plain YAML, settings, stop signals, a lock. No TensorFlow."""
