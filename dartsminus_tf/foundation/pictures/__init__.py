"""Every picture file: names, and the one function that opens it."""
