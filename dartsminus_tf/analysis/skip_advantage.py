"""`skip_advantage`: the paper's first demonstration (section 3.1). A ResNet whose residual blocks compute

    y = relu(a * skip(x) + b * conv(x))

with learnable coefficients a and b ends with a large a, wherever a starts: a skip is an advantage for training as such,
not a sign that it is the better operation.
"""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.analysis.settings import SkipAdvantageSettings
from dartsminus_tf.data.pipeline import ImageData
from dartsminus_tf.foundation.disk.tables import Row, write_csv
from dartsminus_tf.foundation.figures import add_legend
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.ops.layers import Classifier, ConvNorm
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.report.style import epoch_axis, new_figure, run_color, save

STAGES = 3
EDGE = 0.02  # a softmax cannot give 0 or 1


class WeighedBlock(keras.layers.Layer):
    """A residual block with learnable coefficients of its two branches.

    Args:
        channels: output channels.
        stride: 2 where the image is halved; the skip is then a 1x1 convolution.
        initial: of the skip's coefficient.
        coefficients: "free" or "softmax", see `SkipAdvantageSettings`.
    """

    def __init__(self, channels: int, stride: int, initial: float, coefficients: str, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.stride, self.initial, self.coefficients = channels, stride, initial, coefficients
        self.first = ConvNorm(channels, 3, stride, relu="after")
        self.second = ConvNorm(channels, 3)
        self.shortcut = ConvNorm(channels, 1, stride) if stride > 1 else None

    def build(self, input_shape):
        self.first.build(input_shape)
        self.second.build((None, None, None, self.channels))
        if self.shortcut is not None:
            self.shortcut.build(input_shape)
        start = [self.initial, 1.0]
        if self.coefficients == "softmax":
            share = float(np.clip(self.initial, EDGE, 1 - EDGE))
            start = [np.log(share), np.log(1 - share)]
        constant = lambda shape, dtype=None: tf.constant(start, dtype)  # noqa: E731
        self.alpha = self.add_weight(shape=(2,), initializer=constant, name="alpha")

    def weights_of_branches(self) -> tf.Tensor:
        """(a, b)."""
        alpha = tf.convert_to_tensor(self.alpha)
        return tf.nn.softmax(alpha) if self.coefficients == "softmax" else alpha

    def call(self, x, training=False):
        a, b = tf.unstack(self.weights_of_branches())
        skip = x if self.shortcut is None else self.shortcut(x, training=training)
        return tf.nn.relu(a * skip + b * self.second(self.first(x, training=training), training=training))


class WeighedResNet(keras.Model):
    """Stem, three stages of `WeighedBlock`s, classifier: images [N, H, W, 3] to logits."""

    def __init__(self, channels: int, blocks: int, num_classes: int, initial: float, coefficients: str, **kwargs):
        super().__init__(**kwargs)
        self.stem = ConvNorm(channels, 3, relu="after")
        self.blocks = [
            WeighedBlock(channels << stage, 2 if stage and not index else 1, initial, coefficients)
            for stage in range(STAGES)
            for index in range(blocks)
        ]
        self.classifier = Classifier(num_classes)

    def build(self, input_shape):
        self.stem.build(input_shape)
        shape = (None, None, None, self.stem.channels)
        for block in self.blocks:
            block.build(shape)
            shape = (None, None, None, block.channels)
        self.classifier.build(shape)

    def call(self, x, training=False):
        x = self.stem(x, training=training)
        for block in self.blocks:
            x = block(x, training=training)
        return self.classifier(x)


class Coefficients(keras.callbacks.Callback):
    """Adds the mean (a, b) over the blocks, and the mean of |a| / (|a| + |b|), to the epoch's logs."""

    def on_epoch_end(self, epoch, logs=None):
        values = np.stack([block.weights_of_branches().numpy() for block in self.model.blocks])
        share = np.abs(values[:, 0]) / np.maximum(np.abs(values).sum(axis=1), 1e-12)
        logs.update(skip=float(values[:, 0].mean()), conv=float(values[:, 1].mean()), skip_share=float(share.mean()))


def analyse(request: Request) -> Section:
    """Train the ResNet from every initial skip coefficient; what is finished stays."""
    settings: SkipAdvantageSettings = request.settings
    runs = {initial: _train(settings, initial, request.directory / "skip_advantage") for initial in settings.initial}
    rows = [{"initial": initial, **row} for initial, table in runs.items() for row in table]
    section = Section("skip_advantage", "The advantage of a skip")
    section.text(
        f"{STAGES * settings.blocks} residual blocks a * skip(x) + b * conv(x) with learnable coefficients "
        f"({settings.coefficients}), {settings.epochs} epochs on {settings.data.name}."
    )
    section.figure(
        save(_figure(runs), request.directory / "skip_advantage.png"),
        "Coefficients (mean over blocks) and test accuracy by epoch, for every initial coefficient of the skip.",
    )
    section.table([{"initial": initial, **table[-1]} for initial, table in runs.items()])
    section.file(write_csv(request.directory / "skip_advantage.csv", rows))
    return section


def _train(settings: SkipAdvantageSettings, initial: float, directory: Path) -> list[Row]:
    """One row an epoch (row 0: before the first)."""
    run = RunDirectory(directory / f"initial_{initial:g}", settings)
    if run.finished() is not None:
        return json.loads((run.path / "epochs.json").read_text(encoding="utf-8"))["rows"]
    keras.utils.set_random_seed(settings.runtime.seed)
    data = ImageData(settings.data, settings.runtime.seed)
    batches = data.train()
    steps = min(settings.steps_per_epoch or batches.steps_per_epoch, batches.steps_per_epoch)
    model = _model(settings, initial, data.source.num_classes, steps)
    skip, conv = model.blocks[0].weights_of_branches().numpy().tolist()
    with run:
        print(f"skip coefficient from {initial:g}", flush=True)
        history = model.fit(
            batches.from_step(0),
            steps_per_epoch=steps,
            epochs=settings.epochs,
            validation_data=data.test(),
            shuffle=False,
            verbose=2 if settings.runtime.verbose != 0 else 0,
            callbacks=[Coefficients()],
        ).history
        rows = [{"epoch": 0, "skip": skip, "conv": conv}]
        for epoch in range(settings.epochs):
            values = {name: round(float(series[epoch]), 6) for name, series in history.items()}
            rows.append({"epoch": epoch + 1, **values})
        run.write_json("epochs.json", {"rows": rows})
        run.write_result({"kind": "skip_advantage", "initial": initial, **rows[-1]})
    keras.backend.clear_session()
    return rows


def _model(settings: SkipAdvantageSettings, initial: float, num_classes: int, steps: int) -> WeighedResNet:
    """The network, built and compiled for epochs of `steps`."""
    model = WeighedResNet(settings.channels, settings.blocks, num_classes, initial, settings.coefficients)
    model.build((None, settings.data.image_size, settings.data.image_size, 3))
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps * settings.epochs)
    model.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=settings.runtime.xla == "step",
    )
    return model


def _figure(runs: dict[float, list[Row]]):
    figure, axes = new_figure(1, 3, 11, 3.3)
    titles = {"skip": "a, of the skip", "conv": "b, of the convolutions", "val_accuracy": "test accuracy"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        for index, (initial, rows) in enumerate(runs.items()):
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            axis.plot(
                *zip(*points, strict=True), color=run_color(index), linewidth=1.8, label=f"a starts at {initial:g}"
            )
        axis.set_title(title, fontsize=10, loc="left")
        epoch_axis(axis)
    handles, names = axes[0].get_legend_handles_labels()
    add_legend(figure, handles, names, loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    return figure
