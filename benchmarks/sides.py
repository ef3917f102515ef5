"""One side of a benchmark in a process of its own: does its first step, says so, then runs a step for each request.

    python sides.py KIND KEY=VALUE ...          KIND is a function of `SIDES`

`Worker` is the other end. A side waits while another works, so that a process never shares the cores; steps alternate,
so that a change in the machine's speed meets every side.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path


class Worker:
    """A side in its own process.

    Attributes:
        first_step_seconds: from the start of the process to the end of its first step.
    """

    def __init__(self, kind: str, **settings):
        start = time.perf_counter()
        command = [sys.executable, str(Path(__file__).resolve()), kind, *(f"{k}={v}" for k, v in settings.items())]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()
        self.first_step_seconds = time.perf_counter() - start

    def step(self) -> float:
        """Run one step there; returns its seconds."""
        return self._ask("step")["seconds"]

    def stop(self) -> int:
        """End the process; returns its peak resident memory in bytes."""
        peak = self._ask("stop")["peak_rss_bytes"]
        self.process.wait()
        return peak

    def _ask(self, word: str) -> dict:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a benchmark process ended with code {self.process.wait()}")
        return json.loads(line)


def ours_search(space="s0", channels=8, layers=4, batch=16, rematerialize=False):
    """Our search step, compiled as `fit` compiles it."""
    tf = start_tensorflow()
    import dartsminus_tf as dm
    from dartsminus_tf.loop.optimizers import SGD, Adam

    net = dm.build_supernet(space, channels=int(channels), layers=int(layers), rematerialize=rematerialize == "True")
    model = dm.BilevelSearch(net)
    model.build((int(batch), 32, 32, 3))
    model.compile(SGD(0.025, momentum=0.9, l2=3e-4, global_clipnorm=5.0), Adam(l2=1e-3))
    (x, x_valid), (y, y_valid) = random_images(tf, 2 * int(batch), parts=2)
    step = tf.function(model.train_step)
    return lambda: float(step(((x, y), (x_valid, y_valid)))["loss"])


def ours_train(genotype="cifar10_s0_best", channels=16, layers=8, batch=64):
    """Our training step of a derived network with auxiliary head and drop path."""
    tf = start_tensorflow()
    import dartsminus_tf as dm
    from dartsminus_tf.loop.optimizers import SGD
    from dartsminus_tf.train.training import NetworkTraining

    network = dm.build_network(
        dm.published_genotype(genotype), int(channels), int(layers), auxiliary=True, drop_path=0.2
    )
    model = NetworkTraining(network)
    model.build((int(batch), 32, 32, 3))
    model.compile(SGD(0.025, momentum=0.9, l2=3e-4, global_clipnorm=5.0))
    (x,), (y,) = random_images(tf, int(batch), parts=1)
    step = tf.function(model.train_step)
    return lambda: float(step((x, y))["loss"])


def start_tensorflow():
    """TensorFlow with the settings of the command lines; threads by measurement, see README.md."""
    from dartsminus_tf import runtime

    runtime.configure(inter_op_threads=os.cpu_count(), intra_op_threads=1)
    import tensorflow

    return tensorflow


def random_images(tf, count: int, parts: int):
    """`count` images and labels, in `parts` equal parts."""
    images = tf.random.normal([count, 32, 32, 3])
    labels = tf.random.uniform([count], 0, 10, tf.int32)
    return tf.split(images, parts), tf.split(labels, parts)


def torch_search(channels=8, layers=4, batch=16, rematerialize=False):
    """The peer's search step, which keeps everything."""
    from torch_supernet import Search

    return Search(int(channels), int(layers), int(batch)).step


def torch_train(genotype="cifar10_s0_best", channels=16, layers=8, batch=64):
    """The peer's training step of a derived network."""
    from torch_network import Training, published

    return Training(published(genotype), int(channels), int(layers), int(batch)).step


SIDES = {side.__name__: side for side in (ours_search, ours_train, torch_search, torch_train)}


def main() -> None:
    kind, *settings = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the error stream
    step = SIDES[kind](**dict(setting.split("=") for setting in settings))
    step()
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            break
        start = time.perf_counter()
        step()
        print(json.dumps({"seconds": time.perf_counter() - start}), file=out, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_rss_bytes": peak}), file=out, flush=True)


if __name__ == "__main__":
    main()
