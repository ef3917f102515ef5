"""One detector's life: its directory, training, predictions, export."""
