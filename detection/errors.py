"""The one exception that a user of the detection pipeline is meant to read."""


class DetectionError(ValueError):
    """Bad input: one line that names the argument, the rule and the received value.

    The command line prints the line without a traceback and exits with code 2; nothing has been written by
    then.
    """

    def __init__(self, message: str):
        line = " ".join(str(message).split())
        super().__init__(line if len(line) <= 2000 else f"{line[:1997]}...")


class Stopped(Exception):
    """A run that was asked to stop has saved its state; the message says where. Command lines exit with code 0."""
