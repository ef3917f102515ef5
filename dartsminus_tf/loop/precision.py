"""Mixed precision: the dtype policy of the layers that are made in a block."""

from contextlib import contextmanager

import keras


@contextmanager
def precision(name: str):
    """Layers made inside have Keras' dtype policy `name`: "float32" or "mixed_bfloat16".

    bfloat16 has float32's range, so neither optimizer needs loss scaling; float16 would, and Keras scales one only.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
