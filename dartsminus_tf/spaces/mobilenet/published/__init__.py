"""Mobile networks whose weights are published: the table, their tensors' names and places."""
