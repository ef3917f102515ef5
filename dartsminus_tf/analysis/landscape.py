"""`landscape`: validation accuracy and loss around a search's alpha, over two random directions (section 5).

    alpha(u, v) = alpha + u * d1 + v * d2

For every kind of cell d1 and d2 are Gaussian, orthogonal to each other and as long as the cell's alpha. The weights
stay, and the moving statistics are used, as when a search is validated.
"""

import keras
import numpy as np
import tensorflow as tf

from dartsminus_tf.analysis.restored import RestoredSearch
from dartsminus_tf.analysis.settings import LandscapeSettings
from dartsminus_tf.foundation.disk.tables import write_csv
from dartsminus_tf.foundation.figures import new_figure
from dartsminus_tf.loop.reporting import progress_bar
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.report.style import save, stem_of
from dartsminus_tf.search.history import find_histories

Alphas = dict[str, np.ndarray]


def analyse(request: Request) -> Section:
    """The landscape around the newest checkpoint of every search in `request.run_dirs`."""
    settings: LandscapeSettings = request.settings
    section = Section("landscape", "Landscapes over alpha")
    for history in find_histories(request.run_dirs):
        search = RestoredSearch(history)
        grid = np.linspace(-settings.extent, settings.extent, settings.points)
        loss, accuracy = evaluate(search, grid, settings)
        stem = f"landscape_{stem_of(history.name)}"
        for name, values in (("accuracy", accuracy), ("loss", loss)):
            path = save(_figure(grid, values, f"validation {name}"), request.directory / f"{stem}_{name}.png")
            section.figure(path, f"{history.name}: validation {name} around alpha, as a surface and as contours.")
        section.file(write_csv(request.directory / f"{stem}.csv", _rows(grid, loss, accuracy)))
        keras.backend.clear_session()
    return section


def directions(alphas: Alphas, seed: int) -> tuple[Alphas, Alphas]:
    """Two directions: for every kind of cell orthogonal, and as long as its alpha."""
    rng = np.random.default_rng(seed)
    first, second = {}, {}
    for kind, alpha in alphas.items():
        a, b = rng.normal(size=(2, *alpha.shape))
        b = b - a * np.sum(a * b) / np.sum(a * a)
        length = np.linalg.norm(alpha)
        first[kind], second[kind] = a * length / np.linalg.norm(a), b * length / np.linalg.norm(b)
    return first, second


def evaluate(search: RestoredSearch, grid: np.ndarray, settings: LandscapeSettings) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss and accuracy on the validation batches at every point, [points, points] each; alpha is put back."""
    net = search.model.supernet
    start = net.alpha_values()
    first, second = directions(start, settings.seed)
    batches = list(search.batches(settings.batches))

    @tf.function(reduce_retracing=True)
    def measure(x, y):
        logits = net(x, training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        hits = tf.cast(tf.equal(tf.argmax(logits, -1, tf.int32), tf.cast(y, tf.int32)), tf.float32)
        return tf.reduce_sum(losses), tf.reduce_sum(hits)

    examples = sum(len(y) for _, y in batches)
    result = np.zeros((2, len(grid), len(grid)))
    progress = keras.utils.Progbar(len(grid) ** 2, verbose=progress_bar(settings.runtime.verbose), unit_name="point")
    for row, u in enumerate(grid):
        for column, v in enumerate(grid):
            for kind, alpha in net.alphas.items():
                alpha.assign(start[kind] + u * first[kind] + v * second[kind])
            result[:, row, column] = np.sum([measure(x, y) for x, y in batches], axis=0) / examples
            progress.add(1)
    for kind, alpha in net.alphas.items():
        alpha.assign(start[kind])
    return result[0], result[1]


def _figure(grid: np.ndarray, values: np.ndarray, title: str):
    figure = new_figure(10, 4.2)
    surface, contour = figure.add_subplot(1, 2, 1, projection="3d"), figure.add_subplot(1, 2, 2)
    u, v = np.meshgrid(grid, grid, indexing="ij")
    surface.plot_surface(u, v, values, cmap="viridis", linewidth=0.2, edgecolor="#00000033")
    drawn = contour.contourf(u, v, values, levels=14, cmap="viridis")
    contour.plot([0], [0], "x", color="white", markersize=8, markeredgewidth=2)
    contour.set_aspect("equal")
    contour.locator_params(nbins=5)
    figure.colorbar(drawn, ax=contour, shrink=0.85)
    for axis in (surface, contour):
        axis.set_xlabel("first direction")
        axis.set_ylabel("second direction")
        axis.set_title(title, fontsize=10)
    return figure


def _rows(grid, loss, accuracy) -> list[dict]:
    return [
        {"u": float(u), "v": float(v), "loss": float(loss[i, j]), "accuracy": float(accuracy[i, j])}
        for i, u in enumerate(grid)
        for j, v in enumerate(grid)
    ]
