"""The one kind of error that a user can cause: its message is a single line that says what to do. And a wanted stop."""

LONGEST = 2000


class UsageError(ValueError):
    """A wrong argument, config value, file or genotype. Command lines print it alone and exit with code 2.

    Its message is one line of at most `LONGEST` characters, whatever was received.
    """

    def __init__(self, message: str):
        line = " ".join(message.split())
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}...")


class Stopped(Exception):
    """A run that was asked to stop has saved its state; the message says where. Command lines exit with code 0."""
