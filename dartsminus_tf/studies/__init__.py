"""Studies: searches and trainings of several networks under one config, side by side."""
