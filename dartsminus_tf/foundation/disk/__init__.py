"""Files, folders, tables, digests and locks: whole or not at all."""
