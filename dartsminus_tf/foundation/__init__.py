"""What every run stands on, of searches and of detectors alike: plain Python, no TensorFlow and no Keras."""
