"""Counts multiply-adds while a network is traced.

The operations of `functional` report here what they cost, so the count follows the mathematics (a FactorizedReduce
costs its two 1x1 convolutions) and not the way a kernel happens to compute it.
"""

from contextlib import contextmanager
from contextvars import ContextVar

_total: ContextVar[list[int] | None] = ContextVar("multiply_adds", default=None)


@contextmanager
def counting():
    """Yields a list whose only item is the number of multiply-adds an image that were traced inside the block."""
    total = [0]
    token = _total.set(total)
    try:
        yield total
    finally:
        _total.reset(token)


def spend(output_shape, multiply_adds_per_value: int) -> None:
    """Report an operation whose output [N, ...] costs `multiply_adds_per_value` for each of its values."""
    total = _total.get()
    if total is None:
        return
    values = 1
    for size in output_shape[1:]:
        values *= int(size)
    total[0] += values * multiply_adds_per_value
