"""All data sources by name, and the one way to open one.

A source from elsewhere registers itself by `register_source` in a module that the environment variable
DARTSMINUS_PLUGINS names (docs/extending.md).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dartsminus_tf.foundation.config.entries import load_entry
from dartsminus_tf.foundation.errors import UsageError

if TYPE_CHECKING:  # a plugin that registers both a family and a source comes before the configs
    from dartsminus_tf.config import DataConfig
    from dartsminus_tf.data.source import Source

Loader = Callable[["DataConfig"], "Source"]

# {data.name: entry "module:function" or function, (DataConfig) -> Source}; any other name is one of TFDS.
SOURCES: dict[str, str | Loader] = {
    "digits": "dartsminus_tf.data.digits:digits_source",
    "folder": "dartsminus_tf.data.folder:folder_source",
}
OTHERWISE = "dartsminus_tf.data.tfds:tfds_source"


def register_source(name: str, loader: str | Loader) -> None:
    """Make `data.name=<name>` open `loader`: a function `(DataConfig) -> Source`, or its entry "module:function".

    Raises:
        UsageError: where the name is taken.
    """
    if name in SOURCES:
        raise UsageError(f"A data source of that name is there already. Received: {name!r}")
    SOURCES[name] = loader


def load_source(config: "DataConfig") -> "Source":
    """The data set that `config` names, at most as large as its limits."""
    loader = SOURCES.get(config.name, OTHERWISE)
    load = load_entry(loader) if isinstance(loader, str) else loader
    return load(config).limited(config.train_limit, config.test_limit)
