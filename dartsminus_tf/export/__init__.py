"""Networks out of the package: counts of parameters and multiply-adds, SavedModel backbones."""
