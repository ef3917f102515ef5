"""One side of `step_time.py`: does its first step, says so, then runs a step for each line that it reads."""

import json
import os
import resource
import sys
import time


def ours(channels: int, layers: int, batch: int):
    """Our step, compiled as `fit` compiles it."""
    from dartsminus_tf import runtime

    runtime.configure(inter_op_threads=2, intra_op_threads=1)
    import tensorflow as tf

    import dartsminus_tf as dm
    from dartsminus_tf.loop.optimizers import SGD, Adam

    net = dm.build_supernet("s0", channels=channels, layers=layers)
    model = dm.BilevelSearch(net)
    model.build((batch, 32, 32, 3))
    model.compile(SGD(0.025, momentum=0.9, l2=3e-4, global_clipnorm=5.0), Adam(l2=1e-3))
    x, x_valid = tf.random.normal([2, batch, 32, 32, 3])
    y, y_valid = tf.unstack(tf.random.uniform([2, batch], 0, 10, tf.int32))
    step = tf.function(model.train_step)
    return lambda: float(step(((x, y), (x_valid, y_valid)))["loss"])


def torch(channels: int, layers: int, batch: int):
    """The peer's step."""
    from torch_supernet import Search

    return Search(channels, layers, batch).step


def main() -> None:
    side, *numbers = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the error stream
    step = {"ours": ours, "torch": torch}[side](*map(int, numbers))
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
