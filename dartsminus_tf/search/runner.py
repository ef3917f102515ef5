"""A search from config to genotype, in a run directory; a run that was interrupted goes on."""

from pathlib import Path

import keras
import tensorflow as tf

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.loop.checkpoints import Checkpoints
from dartsminus_tf.loop.optimizers import Adam
from dartsminus_tf.loop.rates import EpochLearningRate, build_sgd
from dartsminus_tf.loop.reporting import MetricsCsv, progress_bar
from dartsminus_tf.run import RunDirectory
from dartsminus_tf.search.beta import BetaSchedule
from dartsminus_tf.search.bilevel import BilevelSearch
from dartsminus_tf.search.callbacks import AlphaSummaries, BetaCallback, GenotypeHistory
from dartsminus_tf.spaces import build_supernet


def run_search(config: SearchConfig, model_dir: str | Path) -> dict:
    """Search as `config` says and return the result that is also in `result.json`.

    The last epoch's genotype is the result. A finished run returns what it wrote.

    Raises:
        UsageError: on a space, data set or directory that cannot be; nothing is written then.
    """
    run = RunDirectory(model_dir, config)
    if run.result is not None:
        return run.result
    keras.utils.set_random_seed(config.runtime.seed)
    data = ImageData(config.data, config.runtime.seed)
    model = build_search(config, data)
    weights_batches, alpha_batches = data.halves(config.alpha_fraction)
    run.open()

    checkpoints = Checkpoints(run.path / "checkpoints", config.runtime.keep_checkpoints)
    initial_epoch = checkpoints.restore(model)
    metrics = MetricsCsv(run.path / "metrics.csv", initial_epoch, config.epochs)
    whole = min(weights_batches.steps_per_epoch, alpha_batches.steps_per_epoch)
    steps = min(config.steps_per_epoch or whole, whole)
    first = initial_epoch * steps
    batches = tf.data.Dataset.zip(weights_batches.from_step(first), alpha_batches.from_step(first))
    model.fit(
        batches,
        steps_per_epoch=steps,
        initial_epoch=initial_epoch,
        epochs=config.epochs,
        validation_data=data.held_out(config.alpha_fraction),
        validation_freq=config.validate_every,
        shuffle=False,
        verbose=progress_bar(config.runtime.verbose),
        callbacks=[
            EpochLearningRate(config.weights, config.epochs),
            BetaCallback(_schedule(config)),
            GenotypeHistory(run.path, initial_epoch),
            AlphaSummaries(run.path / "tensorboard"),
            metrics,
            checkpoints,
        ],
    )
    return _finish(run, model, metrics, steps)


def build_search(config: SearchConfig, data: ImageData) -> BilevelSearch:
    """The supernet and its two optimizers, built and compiled."""
    supernet = build_supernet(
        config.space,
        channels=config.channels,
        layers=config.layers,
        num_classes=data.source.num_classes,
        auxiliary_skip=config.method == "darts-",
    )
    model = BilevelSearch(supernet, order=config.order)
    size = config.data.image_size
    model.build((config.data.batch_size, size, size, 3))
    alpha = config.alpha
    model.compile(
        weight_optimizer=build_sgd(config.weights),
        alpha_optimizer=Adam(alpha.learning_rate, alpha.beta_1, alpha.beta_2, alpha.epsilon, alpha.l2),
    )
    return model


def _schedule(config: SearchConfig) -> BetaSchedule:
    """The beta of every epoch; plain DARTS has none."""
    beta = config.beta
    initial = beta.initial if config.method == "darts-" else 0.0
    return BetaSchedule(config.epochs, initial, beta.schedule, beta.start_epoch, beta.stop_epoch)


def _finish(run: RunDirectory, model: BilevelSearch, metrics: MetricsCsv, steps: int) -> dict:
    genotype = model.supernet.genotype()
    last = metrics.table.rows[-1]
    accuracies = [float(row["val_accuracy"]) for row in metrics.table.rows if row.get("val_accuracy") not in (None, "")]
    result = {
        "kind": "search",
        "space": run.config.space,
        "method": run.config.method,
        "genotype": genotype.to_dict(),
        "validation_accuracy": accuracies[-1] if accuracies else None,
        "train_accuracy": float(last["accuracy"]),
        "skip_connects": genotype.count("skip_connect"),
        "beta": float(last["beta"]),
        "epochs": run.config.epochs,
        "steps_per_epoch": steps,
        "seed": run.config.runtime.seed,
        "seconds": round(metrics.seconds, 1),
    }
    run.write_json("genotype.json", genotype.to_dict())
    run.write_result(result)
    return result


def summary(result: dict) -> str:
    """The one line that a search ends with."""
    skips = result["skip_connects"]
    accuracy = result["validation_accuracy"]
    shown = "not measured" if accuracy is None else f"{accuracy:.4f}"
    return (
        f"search finished: validation accuracy {shown}, skip connections {skips['normal']} normal + "
        f"{skips['reduce']} reduce, {result['seconds']:.0f} s"
    )
