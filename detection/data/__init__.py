"""Images and their boxes: prepared, read, checked."""
