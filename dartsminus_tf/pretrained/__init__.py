"""Published networks: what they are, where their weights come from, and how a file of them is read without trust."""
