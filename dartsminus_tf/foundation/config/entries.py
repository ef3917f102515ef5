"""Entries "module:function": what is named now and imported when it is needed, as in setup.py. And plugins."""

import importlib
import os
from collections.abc import Callable

from dartsminus_tf.foundation.errors import UsageError

PLUGINS = "DARTSMINUS_PLUGINS"


def load_entry(entry: str, package: str = "") -> Callable:
    """The function that `entry` names; its module is one of `package`, or a full name where that is empty."""
    module, _, function = entry.partition(":")
    return getattr(importlib.import_module(f"{package}.{module}" if package else module), function)


def import_plugins() -> None:
    """Import the modules that the environment variable DARTSMINUS_PLUGINS names, with commas between.

    Raises:
        UsageError: where one is not there, or cannot be imported.
    """
    for name in filter(None, (part.strip() for part in os.environ.get(PLUGINS, "").split(","))):
        try:
            importlib.import_module(name)
        except (ImportError, SyntaxError) as error:
            raise UsageError(f"A module of {PLUGINS} cannot be imported ({error}). Received: {name!r}") from None
