"""The one exception that a user of the detection pipeline is meant to read."""


class DetectionError(ValueError):
    """Bad input: one line that names the argument, the rule and the received value.

    The command line prints the line without a traceback and exits with code 2; nothing has been written by
    then.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))
