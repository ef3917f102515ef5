"""Networks whose weights are published: the table, safe readers of their files, `from_preset`."""
