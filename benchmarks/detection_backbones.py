"""RetinaNet on an exported backbone beside the same network in tf_keras layers, and beside Model Garden's backbones.

    python benchmarks/detection_backbones.py native --saved_model=runs/backbone
        The export as a SavedModel and as tf_keras layers: the loss of one batch and the step time.
    python benchmarks/detection_backbones.py table --saved_model=runs/backbone --config_file=CONFIG
        The export, MobileNetV2 and ResNet-18, the latter two scaled in width to the export's multiply-adds: step time,
        peak memory, and the AP after the same number of steps. Both begin with random weights, so the export should
        not have been trained either. `--params_override` as in detect.py.

Steps of the candidates alternate, so that a change in the machine's speed meets all of them.
"""

import argparse
import dataclasses
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from detection.cli.environment import prepare_environment

prepare_environment()

import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.core import config_definitions as cfg  # noqa: E402
from official.core import task_factory  # noqa: E402
from official.vision.modeling import backbones as _backbones  # noqa: E402, F401  registers Model Garden's
from official.vision.modeling import factory  # noqa: E402
from official.vision.modeling.backbones import factory as backbone_factory  # noqa: E402
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # noqa: E402

from dartsminus_tf.foundation.config.settings import layered, read_settings  # noqa: E402
from dartsminus_tf.foundation.runs.directory import RunDirectory  # noqa: E402
from detection.data import checks  # noqa: E402
from detection.model import experiment  # noqa: E402
from detection.model import optimizer as optimizer_lib  # noqa: E402
from detection.run import devices, training  # noqa: E402
from detection.run.directory import DETECTOR  # noqa: E402

_BACKBONE = "task.model.backbone"


@dataclasses.dataclass
class Candidate:
    """A detector that can take a training step on a batch."""

    name: str
    model: tf_keras.Model
    step: Callable

    def seconds(self, batch) -> float:
        """One step's time."""
        start = time.perf_counter()
        self.step(batch).numpy()
        return time.perf_counter() - start


def make_candidate(name: str, params: cfg.ExperimentConfig, model: tf_keras.Model | None = None) -> Candidate:
    """A detector of `params`, or `model`, with the training step of a run."""
    tf_keras.utils.set_random_seed(0)
    task = task_factory.get_task(params.task)
    model = model or task.build_model()
    optimizer = optimizer_lib.build_optimizer(params, task, model)
    step = tf.function(lambda batch: task.train_step(batch, model, optimizer)["loss"])
    return Candidate(name, model, step)


def alternate(candidates: list[Candidate], params: cfg.ExperimentConfig, steps: int) -> dict[str, list[float]]:
    """Seconds of `steps` steps of each, in turn and each first as often as last, after two to warm up."""
    batches = iter(task_factory.get_task(params.task).build_inputs(params.task.train_data))
    seconds: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    for number in range(steps + 2):
        batch = next(batches)
        for candidate in candidates if number % 2 else reversed(candidates):
            taken = candidate.seconds(batch)
            if number >= 2:
                seconds[candidate.name].append(taken)
    return seconds


def native_beside_saved_model(params: cfg.ExperimentConfig, steps: int) -> dict:
    """The loss of one batch through both, and the median step time of both."""
    pair = native_pair(params)
    batch = next(iter(task_factory.get_task(params.task).build_inputs(params.task.train_data)))
    losses = {candidate.name: float(loss_of(params, candidate.model, batch)) for candidate in pair}
    seconds = alternate(pair, params, steps) if steps else {}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)] if seconds else []
    return {"loss": losses, "median_seconds": medians, "ratio": statistics.median(ratios) if ratios else None}


def native_pair(params: cfg.ExperimentConfig) -> list[Candidate]:
    """The detector on the SavedModel, and on tf_keras layers with the same weights everywhere."""
    import native_network

    if params.task.model.backbone.dartsminus.freeze_batch_norm:
        raise SystemExit("the native network trains its batch norms: set freeze_batch_norm=false")
    ours = make_candidate("saved_model", params)
    decay = params.task.losses.l2_weight_decay
    regularizer = tf_keras.regularizers.l2(decay / 2) if decay else None
    path, size = params.task.model.backbone.dartsminus.saved_model, params.task.model.input_size[0]
    backbone = native_network.NativeBackbone(path, size, regularizer)
    specs = tf_keras.layers.InputSpec(shape=[None, *params.task.model.input_size])
    model = factory.build_retinanet(specs, params.task.model, regularizer, backbone=backbone)
    model.decoder.set_weights(ours.model.decoder.get_weights())
    model.head.set_weights(ours.model.head.get_weights())
    return [ours, make_candidate("tf_keras", params, model)]


def loss_of(params: cfg.ExperimentConfig, model: tf_keras.Model, batch) -> tf.Tensor:
    """The total loss of a batch in training mode, regularization included."""
    images, labels = batch
    return task_factory.get_task(params.task).build_losses(model(images, training=True), labels, model.losses)[0]


def multiply_adds(backbone: tf_keras.Model, size: list[int]) -> float:
    """Multiply-adds of one image, by TensorFlow's profiler."""
    run = tf.function(lambda x: backbone(x, training=False))
    frozen = convert_variables_to_constants_v2(run.get_concrete_function(tf.TensorSpec([1, *size], tf.float32)))
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(frozen.graph.as_graph_def(), name="")
        options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        options["output"] = "none"
        return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops / 2


def scaled_to(target: float, kind: str, key: str, fixed: dict, chosen: dict) -> dict:
    """Overrides of Model Garden's backbone `kind`, with the width `key` whose multiply-adds are nearest to `target`."""
    low, high, tried = 0.05, 1.0, []
    for _ in range(8):
        scale = round((low + high) / 2, 3)
        override = {"type": kind, kind: fixed | {key: scale}}
        model = experiment.build_experiment(_with_backbone(chosen, override)).task.model
        specs = tf_keras.layers.InputSpec(shape=[None, *model.input_size])
        backbone = backbone_factory.build_backbone(specs, model.backbone, model.norm_activation)
        found = multiply_adds(backbone, list(model.input_size))
        tried.append((abs(found - target), override))
        low, high = (low, scale) if found > target else (scale, high)
    return min(tried, key=lambda entry: entry[0])[1]


def _with_backbone(chosen: dict, backbone: dict) -> dict:
    return layered(chosen, {"task": {"model": {"backbone": backbone}}})


def equal_backbones(chosen: dict) -> dict[str, dict]:
    """Settings by name: the export, and the two others at its multiply-adds."""
    params = experiment.build_experiment(chosen)
    size = list(params.task.model.input_size)
    target = multiply_adds(make_candidate("export", params).model.backbone, size)
    mobile = scaled_to(target, "mobilenet", "filter_size_scale", {"model_id": "MobileNetV2"}, chosen)
    residual = scaled_to(target, "resnet", "depth_multiplier", {"model_id": 18}, chosen)
    return {
        "dartsminus": chosen,
        f"mobilenet x{mobile['mobilenet']['filter_size_scale']}": _with_backbone(chosen, mobile),
        f"resnet-18 x{residual['resnet']['depth_multiplier']}": _with_backbone(chosen, residual),
    }


def table(chosen: dict, steps: int, output_dir: str) -> list[dict]:
    """A row a backbone."""
    kinds = equal_backbones(chosen)
    candidates = [make_candidate(name, experiment.build_experiment(one)) for name, one in kinds.items()]
    seconds = alternate(candidates, experiment.build_experiment(chosen), steps)
    size = list(experiment.build_experiment(chosen).task.model.input_size)
    rows = []
    for candidate in candidates:
        backbone = candidate.model.backbone
        row = {
            "backbone": candidate.name,
            "backbone_parameters": training.count_parameters(backbone),
            "backbone_multiply_adds": multiply_adds(backbone, size),
            "step_seconds": round(statistics.median(seconds[candidate.name]), 4),
        }
        rows.append(row | _trained(candidate.name, kinds[candidate.name], output_dir))
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _trained(name: str, chosen: dict, output_dir: str) -> dict:
    """Trains in a process of its own, so that the peak of its memory is its own."""
    model_dir = str(Path(output_dir) / name.replace(" ", "_"))
    command = [sys.executable, __file__, "_train", json.dumps(chosen), model_dir]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _train(chosen: dict, model_dir: str) -> None:
    params = experiment.build_experiment(chosen, model_dir)
    labels = checks.check_data(params, True, model_dir)
    run = RunDirectory(model_dir, params.as_dict(), DETECTOR)
    result = training.train(run, params, labels, devices.make_strategy(params), 0.3)
    print(
        json.dumps({key: result[key] for key in ("steps", "ap", "ap50", "parameters")} | {"peak_bytes": peak_bytes()})
    )


def peak_bytes() -> int:
    """The most memory that this process had; `getrusage` would begin with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def main() -> None:
    """See the module's docstring."""
    if sys.argv[1:2] == ["_train"]:
        _train(json.loads(sys.argv[2]), sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("native", "table"))
    parser.add_argument("--saved_model", required=True)
    parser.add_argument("--config_file", default="configs/detect_digit_scenes.yaml")
    parser.add_argument("--params_override", action="append", default=[])
    parser.add_argument("--steps", type=int, default=20, help="timed steps")
    parser.add_argument("--output_dir", default="runs/detection_backbones", help="table: run directories")
    flags = parser.parse_args()
    override = f"{_BACKBONE}.dartsminus.saved_model={flags.saved_model}"
    chosen = read_settings([flags.config_file], [override, *flags.params_override])
    if flags.what == "native":
        print(json.dumps(native_beside_saved_model(experiment.build_experiment(chosen), flags.steps)))
    else:
        table(chosen, flags.steps, flags.output_dir)


if __name__ == "__main__":
    main()
