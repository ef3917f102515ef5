"""What a search and a training share: optimizers, learning rates, checkpoints, logs."""
