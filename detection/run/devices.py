"""What a run computes on, and in what precision."""

import tensorflow as tf
from official.common import distribute_utils
from official.core import config_definitions as cfg
from official.modeling import performance

from dartsminus_tf.foundation.errors import require


def check_batches(params: cfg.ExperimentConfig, replicas: int) -> None:
    """Checks that batches can be shared out among the devices.

    Raises:
      UsageError: a batch size is no multiple of their number.
    """
    for name in ("train_data", "validation_data"):
        size = getattr(params.task, name).global_batch_size
        rule = f"task.{name}.global_batch_size must be a multiple of the {replicas} devices"
        require(size % replicas == 0, rule, size)


def check_devices(params: cfg.ExperimentConfig) -> None:
    """Checks that the accelerators which the config asks for are there.

    Raises:
      UsageError: there are fewer.
    """
    present = len(tf.config.list_physical_devices("GPU"))
    rule = f"runtime.num_gpus must be at most {present}, the GPUs of this machine (0: distribution_strategy=one_device)"
    require(params.runtime.num_gpus <= present, rule, params.runtime.num_gpus)


def set_precision(params: cfg.ExperimentConfig) -> None:
    """Sets the global policy that layers are built with; the backbone's SavedModel stays float32 inside."""
    performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype)


def make_strategy(runtime: cfg.RuntimeConfig) -> tf.distribute.Strategy:
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
