"""`alpha`: how softmax(alpha) of every edge moves over a search, with beta, skips and entropy beside it."""

import numpy as np

from dartsminus_tf.foundation.disk.tables import write_csv
from dartsminus_tf.foundation.figures import add_legend
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.report.style import epoch_axis, new_figure, operation_color, run_color, save, stem_of
from dartsminus_tf.search.history import SearchHistory, find_histories

COLUMNS = 4


def analyse(request: Request) -> Section:
    """Figures and tables of every search in `request.run_dirs`."""
    section, directory = Section("alpha", "Trajectories of alpha"), request.directory
    for history in find_histories(request.run_dirs):
        stem = stem_of(history.name)
        for kind in history.weights:
            path = save(_edges(history, kind), directory / f"alpha_{stem}_{kind}.png")
            section.figure(path, f"{history.name}: softmax(alpha) of every edge of the {kind} cell, by epoch.")
        path = save(_summary(history), directory / f"alpha_{stem}_summary.png")
        section.figure(path, f"{history.name}: beta, edges dominated by a skip, entropy of alpha, by epoch.")
        section.file(write_csv(directory / f"alpha_{stem}.csv", _rows(history)))
    return section


def _edges(history: SearchHistory, kind: str):
    """One small plot an edge; beta, from 0 to 1 on the right, is the dashed line."""
    weights, primitives = history.weights[kind], history.primitives[kind]
    edges = weights.shape[1]
    columns = 3 if edges <= 6 else COLUMNS
    rows = -(-edges // columns)
    figure, axes = new_figure(rows, columns, width=11, height=2.0 * rows + 0.6)
    names = list(dict.fromkeys(name for edge in primitives for name in edge))
    epochs, beta, handles = np.arange(len(weights)), history.metrics["beta"][: len(weights)], {}
    for edge, axis in enumerate(axes):
        if edge >= edges:
            axis.set_visible(False)
            continue
        for k, name in enumerate(primitives[edge]):
            color = operation_color(name, names)
            handles[name] = axis.plot(epochs, weights[:, edge, k], color=color, linewidth=1.4)[0]
        right = axis.twinx()
        handles["beta"] = right.plot(epochs, beta, color="black", linewidth=0.9, linestyle="--")[0]
        right.set(ylim=(0, 1.02), yticks=(0, 0.5, 1))
        right.tick_params(labelsize=7)
        right.spines["top"].set_visible(False)
        axis.set_title(f"edge {edge}", fontsize=9, loc="left")
        axis.set_ylim(0, 1.05 * weights.max())
        epoch_axis(axis)
        axis.tick_params(labelsize=8)
    add_legend(
        figure, list(handles.values()), list(handles), loc="outside upper center", ncols=5, fontsize=8, frameon=False
    )
    return figure


def _summary(history: SearchHistory):
    figure, axes = new_figure(1, 3, width=11, height=2.6)
    epochs = history.metrics["epoch"]
    series = (
        ("beta", history.metrics["beta"]),
        ("edges dominated by a skip", history.dominant_skips()),
        ("entropy of alpha (nats)", history.metrics["alpha_entropy"]),
    )
    for index, (axis, (title, values)) in enumerate(zip(axes, series, strict=True)):
        axis.plot(epochs[: len(values)], values, color=run_color(index), linewidth=1.6)
        axis.set_title(title, fontsize=9, loc="left")
        epoch_axis(axis)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=8)
    return figure


def _rows(history: SearchHistory) -> list[dict]:
    """One row an epoch, kind, edge and candidate."""
    rows = []
    for kind, weights in history.weights.items():
        for (epoch, edge, k), value in np.ndenumerate(weights):
            name = history.primitives[kind][edge][k]
            rows.append({"epoch": epoch, "cell": kind, "edge": edge, "operation": name, "weight": round(value, 6)})
    return rows
