"""What holds for all operations inside one step of a model: the seed of their random draws, and whose batch statistics.

A draw is a pure function of (the model's seed, the step, the replica, the place of the draw in the step), so that a
resumed run draws what it would have drawn. Nothing of it is kept in a variable.

    with step.settings(model_seed, optimizer.iterations):
        y = model(x)  # operations call step.random_seed()

The settings belong to the thread that traces: `tf.distribute` traces every replica in a thread of its own.
"""

import contextlib
import random
import threading
from collections.abc import Iterator

import tensorflow as tf

DRAW, REPLICA = 2**40, 2**48  # strides, in the two halves of a seed, that no step number reaches


class _Settings(threading.local):
    seed: tf.Tensor | None = None
    draws: int = 0
    synchronised: bool = False
    still: bool = False


_current = _Settings()


def new_seed() -> int:
    """A seed for a new model, which `keras.utils.set_random_seed` decides."""
    return random.getrandbits(31)


@contextlib.contextmanager
def settings(seed: int, number: tf.Tensor, synchronised: bool = False, still: bool = False) -> Iterator[None]:
    """Give the operations called inside their seed; nested settings replace the outer ones.

    Args:
        seed: the model's, from `new_seed`.
        number: scalar integer tensor below 2**40, another one for every step.
        synchronised: batch norms take the statistics of the global batch, not of the replica's part.
        still: batch norms use their moving statistics in training too, and leave them alone.
    """
    kept = _current.__dict__.copy()
    context = tf.distribute.get_replica_context()
    replica = context.replica_id_in_sync_group if context is not None else 0
    high = tf.cast(replica, tf.int64) * REPLICA + seed
    _current.seed, _current.draws = tf.stack([high, tf.cast(number, tf.int64)]), 0
    _current.still = still
    _current.synchronised = synchronised and context is not None and context.num_replicas_in_sync > 1
    try:
        yield
    finally:
        _current.__dict__.clear()
        _current.__dict__.update(kept)


def random_seed() -> tf.Tensor:
    """The seed, int64 [2], of the next draw of a stateless operation; outside a step a fresh one at every run."""
    if _current.seed is None:
        return tf.random.uniform([2], maxval=2**62, dtype=tf.int64)
    _current.draws += 1
    return _current.seed + tf.constant([0, _current.draws * DRAW], tf.int64)


def synchronised() -> bool:
    """Whether batch norms share their statistics over replicas."""
    return _current.synchronised


def statistics_are_still() -> bool:
    """Whether batch norms use their moving statistics in training."""
    return _current.still


def mean_over_replicas(values: list[tf.Tensor]) -> list[tf.Tensor]:
    """The mean of each value over the replicas, differentiable."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)
