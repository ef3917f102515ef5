"""The one kind of error that a user can cause: its message is a single line that says what to do."""


class UsageError(ValueError):
    """A wrong argument, config value, file or genotype. Command lines print it alone and exit with code 2."""
