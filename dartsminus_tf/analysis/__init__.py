"""The paper's analyses of searches: tables, figures and a report that opens from disk."""
