"""What a run computes on, and in what precision."""

import tensorflow as tf
from official.common import distribute_utils
from official.core import config_definitions as cfg
from official.modeling import performance

from dartsminus_tf.foundation.errors import require
from dartsminus_tf.foundation.runs.cluster import read_cluster


def make_strategy(params: cfg.ExperimentConfig) -> tf.distribute.Strategy:
    """The devices that the config asks for, ready for its network; nothing is written.

    Raises:
      UsageError: fewer accelerators than asked for, batches that cannot be shared out among the devices, or a cluster
        of several machines.
    """
    cluster = read_cluster()
    rule = "a detector trains on one machine: unset TF_CONFIG, and start it there alone"
    require(cluster is None or cluster.size == 1, rule, cluster and cluster.addresses)
    present = len(tf.config.list_physical_devices("GPU"))
    rule = f"runtime.num_gpus must be at most {present}, the GPUs of this machine (0: distribution_strategy=one_device)"
    require(params.runtime.num_gpus <= present, rule, params.runtime.num_gpus)
    set_precision(params)
    strategy = _strategy(params.runtime)
    for name in ("train_data", "validation_data"):
        size, replicas = getattr(params.task, name).global_batch_size, strategy.num_replicas_in_sync
        rule = f"task.{name}.global_batch_size must be a multiple of the {replicas} devices"
        require(size % replicas == 0, rule, size)
    return strategy


def set_precision(params: cfg.ExperimentConfig) -> None:
    """Sets the global policy that layers are built with; the backbone's SavedModel stays float32 inside."""
    performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype)


def _strategy(runtime: cfg.RuntimeConfig) -> tf.distribute.Strategy:
    """Model Garden's strategy of that name; without GPUs, `mirrored` takes all logical CPU devices."""
    if runtime.distribution_strategy == "mirrored" and not runtime.num_gpus:
        return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices("CPU")])
    return distribute_utils.get_distribution_strategy(
        distribution_strategy=runtime.distribution_strategy,
        num_gpus=runtime.num_gpus,
        all_reduce_alg=runtime.all_reduce_alg,
        num_packs=runtime.num_packs,
        tpu_address=runtime.tpu,
    )
