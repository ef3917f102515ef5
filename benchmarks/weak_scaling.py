"""Weak scaling of a search step: the same batch for every device, on 1 and on 2 logical CPU devices.

    python benchmarks/weak_scaling.py --steps=10

Both share the machine's cores, so twice the work takes twice the time at best: efficiency is 2 * t(1) / t(2). It shows
what the strategy itself costs. Also printed: bytes of gradients a step, and what a ring all-reduce of them takes.
"""

import argparse
import multiprocessing
import time

BATCH, SIZE = 8, 16
NETWORK = {"channels": 8, "layers": 4}
PAPER = {"channels": 16, "layers": 8}


def measure(devices: int, steps: int, sync: bool, results) -> None:
    """Put the median seconds of a step into `results`."""
    from dartsminus_tf.runtime import configure

    configure()
    import keras
    import numpy as np
    import tensorflow as tf

    from dartsminus_tf.config import SearchConfig
    from dartsminus_tf.data.pipeline import ImageData
    from dartsminus_tf.foundation.config.typed import load_config
    from dartsminus_tf.loop.distribution import strategy_of
    from dartsminus_tf.search.runner import build_search

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    overrides = [f"data.batch_size={BATCH * devices}", f"data.image_size={SIZE}", f"sync_batch_norm={sync}"]
    overrides += [f"{key}={value}" for key, value in NETWORK.items()]
    config = load_config(SearchConfig, overrides=overrides)
    strategy = strategy_of("mirrored" if devices > 1 else None)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        data = ImageData(config.data, 0)
        model = build_search(config, data)
    weights, alpha = data.halves(0.5)
    batches = tf.data.Dataset.zip(weights.from_step(0), alpha.from_step(0))
    iterator = iter(strategy.experimental_distribute_dataset(batches))
    model.make_train_function()
    seconds = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        float(model.train_function(iter([next(iterator)]))["loss"])
        seconds.append(time.perf_counter() - start)
    results.put(float(np.median(seconds[2:])))


def gradient_bytes(network: dict) -> int:
    """Bytes of the gradients of weights and alpha that a first-order search step sums over devices."""
    from dartsminus_tf import build_supernet

    net = build_supernet("s0", num_classes=10, **network)
    net.build((1, 32, 32, 3))
    return sum(4 * int(variable.shape.num_elements()) for variable in net.weight_variables + net.alpha_variables)


def in_child(*arguments) -> float:
    """`measure` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=measure, args=(*arguments, results))
    process.start()
    seconds = results.get()
    process.join()
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=10)
    steps = parser.parse_args().steps
    one = in_child(1, steps, False)
    print(f"1 device: {one:.3f} s a step", flush=True)
    for sync in (False, True):
        two = in_child(2, steps, sync)
        print(f"2 devices, sync_batch_norm={sync}: {two:.3f} s a step, efficiency {2 * one / two:.2f}", flush=True)
    size = gradient_bytes(PAPER)
    print(f"paper's supernet: {size / 1e6:.2f} MB of gradients a step")
    for devices, bandwidth, name in ((8, 10e9, "10 GB/s (one machine)"), (64, 1.25e9, "1.25 GB/s (10 Gbit network)")):
        milliseconds = 2 * (devices - 1) / devices * size / bandwidth * 1e3
        print(f"{devices} devices at {name}: {milliseconds:.1f} ms of all-reduce a step")


if __name__ == "__main__":
    main()
