"""Images and labels: sources (embedded digits, TFDS, folders), splits, augmentation, tf.data pipelines."""
