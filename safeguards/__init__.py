"""What searches and detectors guard their runs with: plain YAML, stop signals, a lock. No TensorFlow."""
