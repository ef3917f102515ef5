"""LiteRT and ONNX files of a network's classifier, for devices and runtimes without TensorFlow.

Both map float32 images [N, H, W, 3], normalised as the manifest says, to logits; LiteRT's N is 1. The size of the
images is fixed: that is what these runtimes optimise for. Each file is checked against the network before it is kept.
"""

import importlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.export.formats import FILES, missing_package, read_formats
from dartsminus_tf.foundation.disk.files import write_atomically
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.network import DerivedNetwork

TOLERANCE = 1e-3
OPSET = 17

Runner = Callable[[np.ndarray], np.ndarray]


def export_portable(model: DerivedNetwork, folder: Path, formats: list[str]) -> dict[str, float]:
    """Write the files of `formats` (see `read_formats`) into `folder`.

    Returns:
        {format: largest difference of a logit from the network's on random images}.

    Raises:
        UsageError: on an unknown format, a missing package, an unknown image size, or a file that gives other logits.
    """
    parity = {}
    for name in check_formats(model, formats):
        path = folder / FILES[name]
        content = litert_bytes(model, model.image_size) if name == "litert" else _onnx(model)
        write_atomically(path, content)
        parity[name] = _difference(model, RUNNERS[name](path))
        if not parity[name] <= TOLERANCE:
            path.unlink()
            raise UsageError(f"The {name} file gives other logits than the network. Received: {parity[name]:.3g}")
    return parity


def check_formats(model: DerivedNetwork, names: Sequence[str]) -> list[str]:
    """The formats that `names` mean, each of which the network can be written in.

    Raises:
        UsageError: see `read_formats`; or where the network is for images of any size.
    """
    formats = read_formats(names)
    if formats and not (model.image_size and all(model.image_size)):
        raise UsageError(f"{formats[0]} needs a network that was built for images of a known size. Received: any size")
    return formats


def _function(model: DerivedNetwork):
    return tf.function(lambda images: model(images, training=False))


def litert_bytes(model: keras.Model, image_size: tuple[int, int]) -> bytes:
    """The LiteRT file of a built Keras model. By way of a SavedModel: only then are the variables frozen into it."""
    spec = tf.TensorSpec([1, *image_size, 3], tf.float32, name="images")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda images: model(images, training=False), [spec])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def _onnx(model: DerivedNetwork) -> bytes:
    tf2onnx = _package("tf2onnx")
    spec = tf.TensorSpec([None, *model.image_size, 3], tf.float32, name="images")
    proto, _ = tf2onnx.convert.from_function(_function(model), [spec], opset=OPSET)
    return proto.SerializeToString()


def litert_runner(path: Path, threads: int = 1) -> Runner:
    """A function that runs the LiteRT file on one image [1, H, W, 3]."""
    interpreter = _package("ai_edge_litert.interpreter").Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(images: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source, images)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return run


def onnx_runner(path: Path, threads: int = 1) -> Runner:
    """A function that runs the ONNX file on images [N, H, W, 3]."""
    runtime = _package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


RUNNERS = {"litert": litert_runner, "onnx": onnx_runner}


def _difference(model: DerivedNetwork, run: Runner) -> float:
    images = np.random.default_rng(0).normal(size=(3, *model.image_size, 3)).astype(np.float32)
    expected = model(images, training=False).numpy()
    found = np.concatenate([run(images[i : i + 1]) for i in range(len(images))])
    return float(np.abs(found - expected).max())


def _package(name: str):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise missing_package(name) from None
