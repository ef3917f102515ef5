"""Latency of LiteRT files on this processor: networks of the mobile space beside keras.applications' MobileNets.

    python benchmarks/latency.py

Each pair has the same multiply-adds (within 5 %): the width multiplier of ours is chosen so. Weights are random, one
thread, one image of 224 pixels, the median of 30 runs; the networks take turns, three rounds, the best round counts.
"""

import json
import tempfile
from pathlib import Path

from absl import app, flags

from dartsminus_tf.runtime import configure

flags.DEFINE_integer("image_size", 224, "Pixels.")
flags.DEFINE_integer("rounds", 3, "Rounds in which the networks take turns.")

WIDTHS_V2 = [24, 32, 64, 96, 160, 320]
MIXED = "k3e6,k3e3|k5e6,k3e3,k3e3,k3e3|k5e6,k5e3,k5e3,k5e3|k5e6,k5e3,k5e3,k5e3|k7e6,k5e6,k5e6,k5e6|k5e6"


def keras_multiply_adds(model) -> int:
    """Of a keras.applications model: its convolutions and dense layers for one image."""
    import keras
    import numpy as np

    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
            pixels = int(np.prod(layer.output.shape[1:3]))
            total += pixels * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def networks(size: int) -> dict:
    """{name: (model, multiply-adds, parameters)} in pairs of equal cost."""
    import keras
    import numpy as np

    import dartsminus_tf as dm
    from dartsminus_tf.spaces.mobilenet.genotype import uniform_genotype

    def ours(genotype, **options):
        model = dm.build_network(genotype, num_classes=1000, **options)
        model.build((1, size, size, 3))
        counted = dm.count(model)
        return model, counted["multiply_adds"], counted["parameters"]

    def theirs(model):
        return model, keras_multiply_adds(model), sum(int(np.prod(v.shape)) for v in model.trainable_variables)

    v2 = uniform_genotype("ir_k3_e6", (2, 3, 4, 3, 3, 1))
    shape = {"weights": None, "input_shape": (size, size, 3)}
    mixed = dm.Genotype.from_string(MIXED)
    return {
        "keras MobileNetV2": theirs(keras.applications.MobileNetV2(**shape)),
        "ours, MobileNetV2's genotype": ours(v2, widths=WIDTHS_V2),
        "ours, mixed kernels": ours(mixed, width_multiplier=0.85),
        "keras MobileNetV3Large": theirs(keras.applications.MobileNetV3Large(**shape)),
        "ours, mixed kernels, small": ours(mixed, width_multiplier=0.7),
    }


def main(_) -> None:
    """Print the processor and one JSON line a network."""
    configure()
    import numpy as np

    from dartsminus_tf.export.latency import median_milliseconds, processor
    from dartsminus_tf.export.portable import litert_bytes, litert_runner

    size = flags.FLAGS.image_size
    images = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)
    found = networks(size)
    with tempfile.TemporaryDirectory() as folder:
        runners = {}
        for number, (name, (model, _, _)) in enumerate(found.items()):
            path = Path(folder) / f"{number}.tflite"
            path.write_bytes(litert_bytes(model, (size, size)))
            runners[name] = litert_runner(path)
        times = {name: [] for name in found}
        for _ in range(flags.FLAGS.rounds):
            for name, run in runners.items():
                times[name].append(median_milliseconds(run, images))
    print(json.dumps({"processor": processor()}))
    for name, (_, multiply_adds, parameters) in found.items():
        row = {"network": name, "multiply_adds": multiply_adds, "parameters": parameters}
        print(json.dumps(row | {"milliseconds": min(times[name])}))


if __name__ == "__main__":
    app.run(main)
