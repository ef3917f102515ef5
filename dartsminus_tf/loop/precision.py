"""Mixed precision: the dtype policy of the layers that are made in a block."""

from contextlib import contextmanager

import keras


def needs_loss_scale(name: str) -> bool:
    """Whether the optimizers of a model of this precision need a `dynamic_loss_scale`."""
    return name == "mixed_float16"


@contextmanager
def precision(name: str):
    """Layers made inside have Keras' dtype policy `name`: "float32", "mixed_bfloat16" or "mixed_float16".

    bfloat16 has float32's range; the optimizers of float16 are made with `dynamic_loss_scale`.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
