"""DARTS- (Chu et al., ICLR 2021) in Keras 3 and TensorFlow.

The public names are loaded on first use, so that importing the package is cheap, has no side effect and leaves the
choice of TensorFlow's settings (see `dartsminus_tf.runtime`) to the program.
"""

import importlib

__version__ = "0.1.0"

_PUBLIC = {
    "BetaSchedule": "search.beta",
    "BilevelSearch": "search.bilevel",
    "Genotype": "spaces.genotype",
    "build_network": "spaces.build",
    "build_supernet": "spaces.build",
    "count": "export.count",
    "export_backbone": "export.saved_model",
    "from_preset": "pretrained.published.load",
    "get_space": "spaces.families",
    "load_torch_state": "spaces.torch_state",
    "presets": "pretrained.published.table",
    "published_genotype": "spaces.find",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dartsminus_tf' has no attribute '{name}'.")
    return getattr(importlib.import_module(f"dartsminus_tf.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
