"""Operations of the search spaces: pure functions, normalisation, layers, registry, and the mixed operation."""
