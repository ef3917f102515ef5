"""Training of a derived network from config to weights, in a run directory; a run that was interrupted goes on."""

from pathlib import Path

from dartsminus_tf.config import TrainConfig
from dartsminus_tf.config.data import BEFORE
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.data.usable import keep_left_out
from dartsminus_tf.export.count import count
from dartsminus_tf.foundation.disk.tables import Row
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.foundation.runs.results import TrainResult
from dartsminus_tf.loop.distill import find_teacher
from dartsminus_tf.loop.epochs import SCORE, Loop, Work
from dartsminus_tf.loop.optimizers import build_optimizer
from dartsminus_tf.loop.origins import origins
from dartsminus_tf.loop.precision import precision
from dartsminus_tf.loop.rates import EpochLearningRate
from dartsminus_tf.loop.records import mend_tables
from dartsminus_tf.loop.reporting import MetricsCsv, TensorBoardScalars
from dartsminus_tf.loop.start import Start
from dartsminus_tf.pretrained.init import init_content, start_from
from dartsminus_tf.pretrained.own.weight_file import WEIGHTS, write_weights
from dartsminus_tf.spaces.build import build_network
from dartsminus_tf.spaces.families import FAMILIES, family_of
from dartsminus_tf.spaces.find import find_genotype
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.network import DerivedNetwork, require_finite
from dartsminus_tf.train.begun import KIND, as_begun
from dartsminus_tf.train.selection import Patience, to_result
from dartsminus_tf.train.training import BackboneStart, DropPathSchedule, NetworkTraining


def run_training(config: TrainConfig, model_dir: str | Path) -> dict:
    """Train as `config` says and return the result that is also in `result.json`; weights go to `model.weights.h5`.

    Raises:
        UsageError: on a genotype, data set or directory that cannot be; nothing is written then.
    """
    config = as_begun(config, model_dir)
    run = RunDirectory(model_dir, config, KIND)
    if (result := run.finished(TrainResult)) is not None:
        mend_tables(run.path)
        return result
    genotype, space = find_genotype(config.genotype)
    own_options(config, genotype)  # refused before the data are read
    start = Start(run)
    teacher, content = find_teacher(config.distill), init_content(config.init, start.begun)
    with start.scope(), precision(config.precision):
        data = ImageData(config.data, config.runtime.seed)
        network = build_configured(config, genotype, data.source.num_classes)
        model = _build_training(config, network, None if start.begun else config.init)
        if teacher is not None:
            content |= teacher.content()
            model.distillation = teacher.read(data.mean, data.std, data.source.class_names)
        if config.class_weight == "balanced":
            model.class_weights = data.class_weights()
    batches = data.train()
    steps = min(config.steps_per_epoch or batches.steps_per_epoch, batches.steps_per_epoch)
    work = Work(batches.from_step, steps, config.epochs, data.validation(), config.validate_every)
    with start.loop(model, work, {**data.content, **content}) as (run, loop):
        keep_left_out(run, data.source.left_out)
        return _train(run, model, data, loop, space)


def _train(run: RunDirectory, model: NetworkTraining, data: ImageData, loop: Loop, space: str | None) -> dict:
    config = run.config
    loop.restore()
    metrics = MetricsCsv(loop.records, config.epochs, quiet=config.runtime.verbose == 0)
    patience = Patience(config.patience, metrics.table)
    if patience.stopped_epoch is None:
        loop.run(
            [
                EpochLearningRate(config.weights, config.epochs),
                BackboneStart(config.freeze_epochs),
                DropPathSchedule(config.drop_path, config.epochs),
                TensorBoardScalars(run.path / "tensorboard"),
                metrics,
                patience,
            ]
        )
    epoch = to_result(loop, config, metrics.table.rows)
    model.keep_average()
    measured = {
        **_tested(loop, data, config, metrics.table.row(epoch)),
        "epoch": epoch,
        "stopped_epoch": patience.stopped_epoch,
        "seconds": round(metrics.seconds, 1),
    }
    return _finish(run, model.network, data, measured, space)


def _tested(loop: Loop, data: ImageData, config: TrainConfig, row: Row) -> dict:
    """What is said of the result's epoch, whose `row` of the table this is: here alone the test split counts."""
    if config.data.validation == BEFORE:
        test = {name.removeprefix("val_"): float(value) for name, value in row.items() if name.startswith("val_")}
    else:
        test = loop.test(data.test())
    validated = float(row[SCORE]) if config.validates else None
    return {f"test_{name}": round(value, 6) for name, value in test.items()} | {"validation_accuracy": validated}


def own_options(config: TrainConfig, genotype: Genotype) -> dict:
    """The options that networks of the genotype's family alone have, from their section of `config`.

    Raises:
        UsageError: where the section of another family is filled.
    """
    family = family_of(genotype)
    for other in FAMILIES.values():
        if other.section and other is not family and getattr(config, other.section) is not None:
            raise UsageError(f"{other.section} is for networks of another family. Received: genotype {genotype.short}")
    own = getattr(config, family.section) if family.section else None
    return own.model_dump() if own else {}


def build_configured(config: TrainConfig, genotype: Genotype, num_classes: int) -> DerivedNetwork:
    """The network of `genotype` that `config` describes; UsageError on options that make none."""
    return build_network(
        genotype,
        channels=config.channels,
        layers=config.layers,
        num_classes=num_classes,
        stem=config.stem,
        auxiliary=config.auxiliary_weight > 0,
        drop_path=config.drop_path,
        **own_options(config, genotype),
    )


def _build_training(config: TrainConfig, network: DerivedNetwork, init: str | None) -> NetworkTraining:
    """The model that is trained; the network starts from `init` where that is given."""
    model = NetworkTraining(
        network, config.auxiliary_weight, config.label_smoothing, config.sync_batch_norm, config.ema_decay
    )
    model.backbone_rate, model.still_statistics = config.backbone_learning_rate, config.freeze_statistics
    size = config.data.image_size
    shape = (config.data.batch_size, size, size, 3)
    if init is not None:
        network.build(shape)
        start_from(init, network)
    model.build(shape)
    model.compile(build_optimizer(config.weights, config.precision), jit_compile=config.runtime.xla == "step")
    return model


def _finish(run: RunDirectory, network: DerivedNetwork, data: ImageData, measured: dict, space: str | None) -> dict:
    weights = run.path / WEIGHTS
    require_finite(network, weights)
    digest = write_weights(weights, lambda file: network.save_weights(file, overwrite=True))
    config = run.config
    result = {
        "kind": "train",
        "space": space,
        "family": network.family,
        "genotype": network.genotype.to_dict(),
        "network": network.get_config(),
        "image_size": config.data.image_size,
        "data": config.data.name,
        "class_names": list(data.source.class_names),
        "preprocessing": {"mean": list(data.mean), "std": list(data.std)},
        "epochs": config.epochs,
        "seed": config.runtime.seed,
        **origins(run),
        **count(network),
        **measured,
    }
    return run.write_result(result, {WEIGHTS: digest})


def summary(result: dict) -> str:
    """The one line that a training ends with."""
    accuracy = result.get("validation_accuracy")
    validated = "" if accuracy is None else f" (epoch {result['epoch'] + 1}, validation accuracy {accuracy:.4f})"
    return (
        f"training finished: test accuracy {result['test_accuracy']:.4f}{validated}, "
        f"{result['parameters']:,} parameters, {result['multiply_adds']:,} multiply-adds, {result['seconds']:.0f} s"
    )
