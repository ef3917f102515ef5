"""Object detection on an exported DARTS- backbone: SavedModel in, COCO metrics out."""
