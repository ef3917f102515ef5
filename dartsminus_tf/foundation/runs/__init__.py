"""Run directories, what became of them, commands and their signals, children, clusters."""
