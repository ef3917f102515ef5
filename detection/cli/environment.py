"""What TensorFlow reads when it is imported, so that it has to be set before."""

import os

# Each can be overridden from the shell.
_ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",  # Model Garden is written against tf_keras
    "TF_ENABLE_ONEDNN_OPTS": "1",  # off by default on AMD CPUs, where it halves the step
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def prepare_environment() -> None:
    """Sets TensorFlow's environment where the shell has not."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
