"""Peak memory of one bilevel step of the mobile supernet at ImageNet's size, with and without rematerialisation.

    python benchmarks/supernet_memory.py --batch_size=4
    python benchmarks/supernet_memory.py --init=efficientnet_lite0_imagenet --image_size=96 --batch_size=64

With `--init` it is the supernet that starts from a published network, and the step is a whole one: alpha's and the
weights'. Each variant runs in a process of its own; printed are its peak resident memory, what the step added to it,
and the seconds of the second step.
"""

import json
import resource
import subprocess
import sys
import time

from absl import app, flags

from dartsminus_tf.runtime import configure

flags.DEFINE_integer("batch_size", 4, "Images a batch.")
flags.DEFINE_integer("image_size", 224, "Pixels.")
flags.DEFINE_integer("layers", 19, "Searched layers.")
flags.DEFINE_string("init", None, "A preset whose layers and weights the supernet takes; replaces layers.")
flags.DEFINE_enum("variant", None, ["plain", "rematerialize", "bfloat16", "both"], "Measure this one alone.")


def peak_mebibytes() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build(rematerialize: bool, shape: tuple[int, ...]):
    """The supernet, with the weights of `--init` where that is given."""
    import dartsminus_tf as dm
    from dartsminus_tf.pretrained.described import describe
    from dartsminus_tf.pretrained.init import start_supernet
    from dartsminus_tf.spaces.families import family_of

    values = flags.FLAGS
    sizes = {"layers": values.layers}
    if values.init:
        sizes = family_of("mobilenet").start_section(describe(values.init).network)
    net = dm.build_supernet("mobilenet", num_classes=1000, rematerialize=rematerialize, **sizes)
    net.build(shape)
    if values.init:
        start_supernet(values.init, net)
    return net


def measure(variant: str) -> dict:
    """Two steps, the first of which traces the graph."""
    configure(inter_op_threads=1, intra_op_threads=2)
    import tensorflow as tf

    import dartsminus_tf as dm
    from dartsminus_tf.loop.optimizers import SGD, Adam
    from dartsminus_tf.loop.precision import precision

    values = flags.FLAGS
    shape = (values.batch_size, values.image_size, values.image_size, 3)
    with precision("mixed_bfloat16" if variant in ("bfloat16", "both") else "float32"):
        net = build(variant in ("rematerialize", "both"), shape)
    search = dm.BilevelSearch(net)
    search.compile(SGD(0.045, momentum=0.9), Adam(0.001))
    x, y = tf.random.normal(shape), tf.zeros([values.batch_size], tf.int32)

    def one_step():
        if values.init:
            search.architecture_step(x, y)
        search.weight_step(x, y)

    step = tf.function(one_step, autograph=False)
    step.get_concrete_function()
    before = peak_mebibytes()
    step()
    start = time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    peak = peak_mebibytes()
    return {"variant": variant, "peak_mib": round(peak), "step_mib": round(peak - before), "seconds": round(seconds, 2)}


def main(_) -> None:
    """Print one JSON line a variant."""
    values = flags.FLAGS
    if values.variant:
        print(json.dumps(measure(values.variant)), flush=True)
        return
    for variant in ("plain", "rematerialize", "bfloat16", "both"):
        arguments = [f"--{name}={getattr(values, name)}" for name in ("batch_size", "image_size", "layers")]
        arguments += [f"--init={values.init}"] if values.init else []
        subprocess.run([sys.executable, __file__, f"--variant={variant}", *arguments], check=True)


if __name__ == "__main__":
    app.run(main)
