"""A progress line for loops of known length."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO

from dartsminus_tf.foundation.output import shown


class ProgressLine:
    """Prints `label: done/total, rate` at most every `interval` seconds, and once at the end.

    Args:
      label: what is being done.
      total: number of items, if known.
      interval: seconds between lines.
      stream: where to print; standard error by default, so that output can be piped.
    """

    def __init__(self, label: str, total: int | None = None, interval: float = 5.0, stream: TextIO | None = None):
        self._label, self._total, self._interval = shown(label), total, interval
        self._stream = stream or sys.stderr

    def over(self, items: Iterable) -> Iterator:
        """Yields `items` one by one and prints on the way."""
        start = last = time.monotonic()
        done = 0
        for done, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            if now - last >= self._interval and done != self._total:
                last = now
                self._print(done, now - start)
        self._print(done, time.monotonic() - start)

    def _print(self, done: int, seconds: float) -> None:
        rate = done / seconds if seconds > 0 else 0.0
        of_total = "" if self._total is None else f"/{self._total}"
        digits = 0 if rate >= 10 else 1
        print(f"{self._label}: {done}{of_total}, {rate:.{digits}f} a second", file=self._stream, flush=True)
