"""Process-wide TensorFlow settings, chosen by measurement; must be set before TensorFlow starts.

Only programs call this (the command lines and the tests); importing the library changes nothing.
"""

import os


def configure(
    *, deterministic: bool = False, inter_op_threads: int | None = None, intra_op_threads: int | None = None
) -> None:
    """Set oneDNN, thread pools, the graph optimizer and the log level. Call before any other use of TensorFlow.

    Args:
        deterministic: make every operation deterministic (slower on GPUs; forbids XLA).
        inter_op_threads: operations run at the same time; None lets TensorFlow choose.
        intra_op_threads: threads inside one operation; None lets TensorFlow choose.

    Environment variables that the user has set win. oneDNN is off by default on AMD processors, where it halves the
    time of a search step. Grappler's meta optimizer costs a third of a supernet's start-up and gains nothing.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if inter_op_threads is not None:
        tf.config.threading.set_inter_op_parallelism_threads(inter_op_threads)
    if intra_op_threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
