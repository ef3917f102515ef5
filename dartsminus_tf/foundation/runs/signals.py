"""Ctrl-C and SIGTERM as a wish to stop: the loop finishes its step, saves and leaves."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

from dartsminus_tf.foundation.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def all_or_nothing(what: str) -> Iterator[None]:
    """Work with no state to go on from: an interruption is no stop that the same command goes on from.

    Raises:
        Interrupted: on Ctrl-C or SIGTERM.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {what} was not written") from None


class StopRequest:
    """While it is entered, the first SIGINT or SIGTERM sets `requested`; a second SIGINT interrupts at once.

    Signals reach the main thread alone; in another thread it does nothing.
    """

    def __init__(self):
        self.requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number, frame) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.requested:
            print("\nstopping after this step (Ctrl-C again: at once)", file=sys.stderr, flush=True)
        self.requested = True
