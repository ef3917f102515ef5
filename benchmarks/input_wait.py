"""The share of a search step that is spent waiting for its batch, on CIFAR-10 with the paper's augmentation.

    python benchmarks/input_wait.py --data_dir=DIR [--size=small|paper]

DIR holds a prepared TensorFlow Datasets `cifar10`. A step here is a batch taken from both pipelines, as `fit` takes it,
and the search step on it. Waiting is the time between asking for the batch and having it.
"""

import argparse
import json
import statistics
import time

from sides import start_tensorflow
from step_time import SIZES

STEPS = {"small": 60, "paper": 8}
WARM_UP = 2


def measure(size: str, data_dir: str) -> dict:
    """{"wait_seconds", "step_seconds": medians, "share": of all waiting in all time}."""
    tf = start_tensorflow()
    from dartsminus_tf.config import SearchConfig
    from dartsminus_tf.data.pipeline import ImageData
    from dartsminus_tf.foundation.config.typed import load_config
    from dartsminus_tf.search.runner import build_search

    sizes = SIZES[size][1]
    settings = {
        "channels": sizes["channels"],
        "layers": sizes["layers"],
        "data.batch_size": sizes["batch"],
        "data.data_dir": data_dir,
    }
    overrides = [f"{key}={value}" for key, value in settings.items()]
    config = load_config(SearchConfig, ["configs/search_cifar10_s0.yaml"], overrides)
    data = ImageData(config.data, seed=0)
    model = build_search(config, data)
    step = tf.function(model.train_step)
    halves = data.halves(config.alpha_fraction)
    batches = iter(tf.data.Dataset.zip(*(half.from_step(0) for half in halves)))
    waits, totals = [], []
    for number in range(STEPS[size] + WARM_UP):
        start = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - start
        float(step(batch)["loss"])
        if number >= WARM_UP:
            waits.append(waited)
            totals.append(time.perf_counter() - start)
    return {
        "wait_seconds": statistics.median(waits),
        "step_seconds": statistics.median(totals),
        "share": sum(waits) / sum(totals),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=STEPS, default="small")
    parser.add_argument("--data_dir", required=True)
    arguments = parser.parse_args()
    print(json.dumps({"size": arguments.size} | measure(arguments.size, arguments.data_dir)))


if __name__ == "__main__":
    main()
