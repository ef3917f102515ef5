"""A search from config to genotype, in a run directory; a run that was interrupted goes on."""

import contextlib
from pathlib import Path

import keras
import tensorflow as tf

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.data.usable import keep_left_out
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.foundation.runs.results import SearchResult
from dartsminus_tf.loop.distill import find_teacher
from dartsminus_tf.loop.epochs import Loop, Work
from dartsminus_tf.loop.optimizers import Adam, build_optimizer
from dartsminus_tf.loop.origins import origins
from dartsminus_tf.loop.precision import needs_loss_scale, precision
from dartsminus_tf.loop.rates import EpochLearningRate
from dartsminus_tf.loop.records import mend_tables
from dartsminus_tf.loop.reporting import MetricsCsv
from dartsminus_tf.loop.start import Start
from dartsminus_tf.pretrained.init import init_content, start_supernet
from dartsminus_tf.search.beta import BetaCallback
from dartsminus_tf.search.bilevel import AlphaStart, BilevelSearch
from dartsminus_tf.search.early_stop import EarlyStop
from dartsminus_tf.search.flops import MILLION, ExpectedFlops, flops_penalty
from dartsminus_tf.search.progressive import run_progressive
from dartsminus_tf.search.recording import SPACE, AlphaSummaries, GenotypeHistory
from dartsminus_tf.search.skip_dropout import SkipDropoutCallback
from dartsminus_tf.search.truth import AccuracyTable, TrueAccuracy, table_of, true_result, truth_markdown
from dartsminus_tf.spaces.build import build_supernet
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.space import Space


def run_search(config: SearchConfig, model_dir: str | Path) -> dict:
    """Search as `config` says and return the result that is also in `result.json`.

    The last epoch's genotype is the result, unless an early stop or a skip cap says otherwise. A finished run returns
    what it wrote.

    Raises:
        UsageError: on a space, data set or directory that cannot be; nothing is written then.
    """
    run = RunDirectory(model_dir, config)
    if (result := run.finished(SearchResult)) is not None:
        mend_tables(run.path)
        return result
    with contextlib.ExitStack() as stack:
        stack.push(run)  # it is opened once everything has been checked
        return run_single(run) if config.progressive is None else run_progressive(run, run_single)


def run_single(run: RunDirectory, space: Space | None = None) -> dict:
    """One search in one supernet, of `space` where it is not the config's; see `run_search`."""
    if (result := run.finished(SearchResult)) is not None:
        mend_tables(run.path)
        return result
    config, table = run.config, table_of(run.config)
    start = Start(run)
    teacher, content = find_teacher(config.distill), init_content(config.init, start.begun)
    with start.scope():
        data = ImageData(config.data, config.runtime.seed)
        model = build_search(config, data, space)
        if config.init is not None and not start.begun:
            start_supernet(config.init, model.supernet)
        if teacher is not None:
            content |= teacher.content()
            model.distillation = teacher.read(data.mean, data.std, data.source.class_names)
    weights_batches, alpha_batches = data.halves(config.alpha_fraction)
    whole = min(weights_batches.steps_per_epoch, alpha_batches.steps_per_epoch)
    work = Work(
        lambda first: tf.data.Dataset.zip(weights_batches.from_step(first), alpha_batches.from_step(first)),
        min(config.steps_per_epoch or whole, whole),
        config.epochs,
        data.held_out(config.alpha_fraction),
        config.validate_every,
    )
    with start.loop(model, work, {**data.source.content, **content}) as (run, loop):
        keep_left_out(run, data.source.left_out)
        if space is not None:
            run.write_json(SPACE, dict(space.candidates))
        return _search(run, loop, table, data)


def _search(run: RunDirectory, loop: Loop, table: AccuracyTable | None, data: ImageData) -> dict:
    config = run.config
    loop.restore()
    metrics = MetricsCsv(loop.records, config.epochs, quiet=config.runtime.verbose == 0)
    history = GenotypeHistory(run.path, loop.records)
    stopper = _early_stop(config, loop.work.validation, metrics)
    if stopper is None or stopper.stop is None:
        optional = [*([TrueAccuracy(table)] if table else []), *([stopper] if stopper else [])]
        summaries = AlphaSummaries(run.path / "tensorboard")
        loop.run([*_schedules(config), history, *optional, summaries, metrics])
    return _finish(run, history, metrics, loop, stopper, table, data)


def build_search(config: SearchConfig, data: ImageData, space: Space | None = None) -> BilevelSearch:
    """The supernet (of `space` where it is not the config's) and its two optimizers, built and compiled."""
    with precision(config.precision):
        supernet = build_supernet(
            space or config.space,
            channels=config.channels,
            layers=config.layers,
            num_classes=data.source.num_classes,
            auxiliary=config.auxiliary if config.method == "darts-" else None,
            partial_channels=config.partial_channels,
            edge_normalization=config.edge_normalization,
            skip_dropout=config.skip_dropout,
            rematerialize=config.rematerialize,
            **config.space_options,
        )
    penalty = flops_penalty(supernet, config.flops) if config.flops else None
    model = BilevelSearch(supernet, config.order, config.sync_batch_norm, alpha_penalty=penalty)
    size = config.data.image_size
    model.build((config.data.batch_size, size, size, 3))
    if config.flops and config.flops.at_most:
        supernet.most_multiply_adds = int(config.flops.target_mflops * MILLION)
        supernet.genotype()  # refused now where no network is that cheap
    alpha = config.alpha
    model.compile(
        weight_optimizer=build_optimizer(config.weights, config.precision),
        alpha_optimizer=Adam(
            alpha.learning_rate,
            alpha.beta_1,
            alpha.beta_2,
            alpha.epsilon,
            alpha.l2,
            dynamic_loss_scale=needs_loss_scale(config.precision),
        ),
        jit_compile=config.runtime.xla == "step",
    )
    return model


def _schedules(config: SearchConfig) -> list[keras.callbacks.Callback]:
    """What is set at the start of every epoch."""
    callbacks = [EpochLearningRate(config.weights, config.epochs), BetaCallback.of(config)]
    if config.flops:
        callbacks.append(ExpectedFlops())
    if config.alpha_start_epoch:
        callbacks.append(AlphaStart(config.alpha_start_epoch))
    if config.skip_dropout:
        callbacks.append(SkipDropoutCallback(config.skip_dropout, config.epochs, config.alpha_start_epoch))
    return callbacks


def _early_stop(config: SearchConfig, held_out: tf.data.Dataset, metrics: MetricsCsv) -> EarlyStop | None:
    """The early stop, on the first batch of the validation set."""
    if config.early_stop is None:
        return None
    return EarlyStop(config.early_stop, next(iter(held_out)), metrics.table.rows)


def _finish(
    run: RunDirectory,
    history: GenotypeHistory,
    metrics: MetricsCsv,
    loop: Loop,
    stopper: EarlyStop | None,
    table: AccuracyTable | None,
    data: ImageData,
) -> dict:
    last, stop = loop.position.epoch - 1, stopper.stop if stopper is not None else None
    epoch = last if stopper is None else stopper.result_epoch(last)
    genotype = history.genotype(epoch)
    row = metrics.table.row(epoch)
    until = [row for row in metrics.table.rows if int(row["epoch"]) <= epoch]
    accuracies = [float(row["val_accuracy"]) for row in until if row.get("val_accuracy") not in (None, "")]
    result = {
        "kind": "search",
        "space": run.config.space,
        "family": family_of(run.config.space).name,
        "method": run.config.method,
        "genotype": genotype.to_dict(),
        "class_names": list(data.source.class_names),
        "preprocessing": {"mean": list(data.mean), "std": list(data.std)},
        "validation_accuracy": accuracies[-1] if accuracies else None,
        "train_accuracy": float(row["accuracy"]),
        "skip_connects": genotype.count("skip_connect"),
        "beta": float(row["beta"]),
        "epochs": run.config.epochs,
        "stopped_epoch": stop.stopped_epoch if stop is not None else None,
        "genotype_epoch": epoch,
        "steps_per_epoch": loop.work.steps_per_epoch,
        "seed": run.config.runtime.seed,
        **origins(run),
        "seconds": round(metrics.seconds, 1),
        **(true_result(table, genotype) if table else {}),
    }
    run.write_json("genotype.json", genotype.to_dict())
    return run.write_result(result)


def summary(result: dict) -> str:
    """The one line that a search ends with; above it the true accuracies, where they are known."""
    truth = truth_markdown(result) if "true_accuracies" in result else ""
    skips = " + ".join(f"{number} {kind}" for kind, number in result["skip_connects"].items())
    accuracy = result["validation_accuracy"]
    shown = "not measured" if accuracy is None else f"{accuracy:.4f}"
    return f"{truth}search finished: validation accuracy {shown}, skip connections {skips}, {result['seconds']:.0f} s"
