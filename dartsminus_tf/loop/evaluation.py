"""A model on a whole data set, once. Whoever evaluates may save or stop after any batch."""

from collections.abc import Callable

import keras
import tensorflow as tf

from dartsminus_tf.loop.faults import data_faults


def evaluate(model: keras.Model, data: tf.data.Dataset, where: str, after_batch: Callable[[], None]) -> dict:
    """{metric: value} of `model.test_step` over `data`; the metrics' variables are used for it.

    `keras.Model.evaluate` would do the same on one machine; in a cluster it fails on its first batch.

    Args:
        model: compiled, built in the scope of its devices.
        data: batches.
        where: what is said of data that cannot be read.
        after_batch: called after every batch.

    Raises:
        UsageError: where data cannot be read.
    """
    model.reset_metrics()
    model.make_test_function()
    iterator = iter(model.distribute_strategy.experimental_distribute_dataset(data))
    names: tuple[str, ...] = ()
    with data_faults(where):
        while (measured := _batch(model, iterator)) is not None:
            names = measured
            after_batch()
    results = model.get_metrics_result()
    return {name: float(results[name]) for name in names}


def _batch(model: keras.Model, iterator) -> tuple[str, ...] | None:
    """Evaluate one batch: the names of what is measured; None where there is none left."""
    try:
        return tuple(model.test_function(iterator))
    except (StopIteration, tf.errors.OutOfRangeError):
        return None
