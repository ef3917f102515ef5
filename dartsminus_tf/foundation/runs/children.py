"""Processes that a command starts: they get its signals, and end with it however it ends."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux' prctl


def run_child(command: list[str]) -> tuple[int, bool]:
    """Run `command` and return its code, and whether SIGINT or SIGTERM came: it gets the first, as SIGTERM, and ends.

    It has a session of its own, so that Ctrl-C on a terminal does not reach it a second time. Where this process is
    killed, which nobody can catch, Linux sends it SIGTERM: it saves and ends like a stopped one.
    """
    with subprocess.Popen(command, start_new_session=True, preexec_fn=_ends_with(os.getpid())) as process:
        came: list[int] = []

        def forward(number, frame) -> None:
            if not came:
                process.terminate()
            came.append(number)

        before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return process.wait(), bool(came)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _ends_with(parent: int) -> Callable[[], None] | None:
    """What makes a new process end with `parent`; None where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def arrange() -> None:
        prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before
            os._exit(128 + signal.SIGTERM)

    return arrange
