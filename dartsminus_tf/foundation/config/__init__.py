"""What a person gives: YAML, overrides, paths, typed configs, entries."""
