"""Parameters and multiply-adds of a network, as papers count them."""

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.ops import tally


def count(model: keras.Model, image_size: int | tuple[int, int] | None = None) -> dict[str, int]:
    """{"parameters": ..., "multiply_adds": ...} of a built derived network; the auxiliary head is left out of both.

    Args:
        model: built by a call or by `build`.
        image_size: pixels, one number or (height, width); by default the size that the model was built for.

    Parameters are the trainable ones. Multiply-adds are those of convolutions and the classifier for one image; batch
    norm, pools and additions are not counted, as is usual.

    Raises:
        UsageError: where the model is not built, or the size is not known.
    """
    if not model.built:
        raise UsageError("Call the model once before counting, so that its variables exist. Received: an unbuilt model")
    size = image_size or getattr(model, "image_size", None)
    height, width = size if isinstance(size, tuple) else (size, size)
    if height is None or width is None:
        raise UsageError("image_size is needed: the model was built for images of any size. Received: None")
    head = getattr(model, "auxiliary_head", None)
    left_out = {id(variable) for variable in head.trainable_variables} if head is not None else set()
    kept = [variable for variable in model.trainable_variables if id(variable) not in left_out]
    with tally.counting() as total:
        spec = tf.TensorSpec([1, height, width, 3], tf.float32)
        tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    return {"parameters": int(sum(np.prod(variable.shape) for variable in kept)), "multiply_adds": total[0]}
