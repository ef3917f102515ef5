"""Many devices: the strategies of `tf.distribute`, by the names that a config gives them.

Batch sizes and learning rates are those of the global batch, whatever the number of devices.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.cluster import VARIABLE, is_first, read_cluster

WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@functools.cache
def strategy_of(name: str | None) -> tf.distribute.Strategy:
    """The strategy that `runtime.distribute` names, one object a process.

    Args:
        name: None, the default device; "one_device", the first GPU or the CPU; "mirrored", all GPUs of this machine (or
            all logical CPU devices where there is none); "multi_worker", the chief and the workers of `TF_CONFIG`, one
            process each. For "multi_worker" this must be the first thing that TensorFlow does in the process.

    Raises:
        UsageError: where `TF_CONFIG` does not describe a cluster with this process.
    """
    if name is None:
        return tf.distribute.get_strategy()
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy(_cluster_resolver())
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = [device.name for device in devices]
    return tf.distribute.OneDeviceStrategy(names[0]) if name == "one_device" else tf.distribute.MirroredStrategy(names)


def _cluster_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Chief and workers of `TF_CONFIG`; whoever else is named there does not take part."""
    cluster = read_cluster()
    if cluster is None:
        raise UsageError(f"runtime.distribute=multi_worker needs {VARIABLE} (docs/long_runs.md). Received: no cluster")
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster.addresses), task_type=cluster.role, task_id=cluster.index, rpc_layer="grpc"
    )


def unscale_loss(loss: tf.Tensor) -> tf.Tensor:
    """A Keras loss, which is divided by the number of replicas, as the mean over this replica's examples."""
    return loss * tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, loss.dtype)


def scale_loss(loss: tf.Tensor) -> tf.Tensor:
    """The mean over this replica's examples as Keras' losses give it, divided by the number of replicas."""
    return loss / tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, loss.dtype)


def step_results(metrics: Sequence[keras.metrics.Metric]) -> dict[str, tf.Tensor]:
    """What a step returns: the metrics' values by name, scalars.

    In a cluster Keras takes the mean of a step's results over their first axis, so they have one there.
    """
    axis = tf.distribute.get_strategy().cluster_resolver is not None
    results = {metric.name: metric.result() for metric in metrics}
    return {name: value[None] for name, value in results.items()} if axis else results


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: the chief, else the first worker, or the only process."""
    resolver = strategy.cluster_resolver
    if resolver is None:
        return True
    return is_first(resolver.cluster_spec().jobs, resolver.task_type, resolver.task_id)


def check_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Refuse a global batch that is no multiple of the replicas.

    Raises:
        UsageError: where replicas would get parts of different sizes.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UsageError(f"data.batch_size must be a multiple of the {replicas} devices. Received: {batch_size}")


@contextlib.contextmanager
def lost_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turn the errors that the end of another worker causes here into one line.

    Raises:
        UsageError: saying that all are to be started again.
    """
    try:
        yield
    except WORKER_ERRORS as error:
        if strategy.cluster_resolver is None:
            raise
        reason = error.message.strip().splitlines()[0][:200] if error.message else type(error).__name__
        raise UsageError(
            f"another worker is gone: start all workers again, they go on from the last checkpoint. Received: {reason}"
        ) from None


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Whether `flag` is set in any worker's process: all of them save and stop at the same step."""
    if strategy.cluster_resolver is None:
        return flag
    values = strategy.experimental_distribute_values_from_function(lambda context: tf.constant(float(flag)))
    return float(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)) > 0
