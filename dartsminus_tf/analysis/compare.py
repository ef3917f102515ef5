"""`compare`: any set of searches as one table and one figure. Runs that differ in their seed alone form a group."""

import re
from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D

from dartsminus_tf.foundation.disk.files import write_atomically
from dartsminus_tf.foundation.disk.tables import Row, markdown, mean_and_spread, write_csv
from dartsminus_tf.foundation.figures import add_legend
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.report.style import epoch_axis, new_figure, operation_color, run_color, save
from dartsminus_tf.search.history import SearchHistory, find_histories

_SEED = re.compile(r"/?seed_\d+$")
PANELS = {
    "val_accuracy": "validation accuracy of the supernet",
    "skip_share": "share of skips in the derived cell",
    "beta": "beta",
}


def group_of(history: SearchHistory) -> str:
    """What the run is called apart from its seed; the method where nothing else is left."""
    return _SEED.sub("", history.name) or history.config.method


def groups_of(histories: list[SearchHistory]) -> dict[str, list[SearchHistory]]:
    """The searches by group, groups in the order of their first run."""
    groups: dict[str, list[SearchHistory]] = {}
    for history in histories:
        groups.setdefault(group_of(history), []).append(history)
    return groups


def run_row(history: SearchHistory) -> Row:
    """One search as a row: of its result, or of its last epoch so far."""
    config, metrics = history.config, history.metrics
    result = history.result or {}
    validation = metrics.get("val_accuracy", np.array([]))
    validation = validation[~np.isnan(validation)]
    truth = result.get("true_accuracies") or {
        name.removeprefix("true_"): float(values[-1]) for name, values in metrics.items() if name.startswith("true_")
    }
    return {
        "run": history.name,
        "state": "finished" if history.result else history.status and history.status.brief,
        "method": config.method,
        "seed": config.runtime.seed,
        "epochs": len(metrics["epoch"]),
        "validation_accuracy": float(validation[-1]) if len(validation) else None,
        "skips": sum(history.genotype.count("skip_connect").values()),
        **{f"true_{name}": value for name, value in truth.items()},
        "genotype": history.genotype.short,
        "seconds": round(float(np.nansum(metrics["seconds"])), 1),
    }


def group_rows(groups: dict[str, list[Row]]) -> list[Row]:
    """One row a group: mean and spread over its seeds of everything that is a number."""
    table = []
    for name, rows in groups.items():
        numbers = [key for key in rows[0] if key not in ("run", "state", "method", "seed", "epochs", "genotype")]
        values = {key: [row[key] for row in rows if row.get(key) is not None] for key in numbers}
        row: Row = {"group": name, "seeds": len(rows)}
        row |= {key: mean_and_spread(map(float, found)) for key, found in values.items()}
        row |= {f"worst_{key}": min(found) for key, found in values.items() if key.startswith("true_") and found}
        table.append(row)
    return table


def analyse(request: Request) -> Section:
    """All searches in `request.run_dirs` side by side."""
    return compare_section(find_histories(request.run_dirs), request.directory, "compare", "Searches side by side")


def compare_section(histories: list[SearchHistory], directory: Path, mode: str, title: str) -> Section:
    """The table and the figures of `histories`, written to `directory` as `<mode>.csv`, `.md`, `.png`."""
    groups = groups_of(histories)
    rows = {name: [run_row(history) for history in members] for name, members in groups.items()}
    single, grouped = [row for members in rows.values() for row in members], group_rows(rows)
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / f"{mode}.md", f"{markdown(grouped)}\n{markdown(single)}")
    section = Section(mode, title)
    section.table(grouped)
    section.figure(
        save(_figure(groups), directory / f"{mode}.png"), "Thin: single seeds; thick: the mean of a group, by epoch."
    )
    section.figure(
        save(_operations(groups), directory / f"{mode}_operations.png"),
        "Mean weight of every operation over edges, cells and seeds, by epoch.",
    )
    section.table(single)
    section.file(write_csv(directory / f"{mode}.csv", single))
    return section


def _figure(groups: dict[str, list[SearchHistory]]):
    measured = {name for members in groups.values() for history in members for name in history.metrics}
    truths = {
        name: f"true test accuracy, {name.removeprefix('true_')} (%)" for name in sorted(measured) if "true_" in name
    }
    panels = truths | {name: title for name, title in PANELS.items() if name in measured}
    figure, axes = new_figure(1, len(panels), width=3.6 * len(panels), height=3.3)
    drawn: dict[str, Line2D] = {}
    for axis, (column, title) in zip(axes, panels.items(), strict=True):
        for index, (name, members) in enumerate(groups.items()):
            series = [history.metrics[column] for history in members if column in history.metrics]
            for values in series:
                seen = ~np.isnan(values)
                axis.plot(np.flatnonzero(seen), values[seen], color=run_color(index), linewidth=0.7, alpha=0.5)
            if series:
                shortest = min(map(len, series))
                mean = np.mean([values[:shortest] for values in series], axis=0)
                seen = ~np.isnan(mean)
                line = axis.plot(np.flatnonzero(seen), mean[seen], color=run_color(index), linewidth=2.2)[0]
                drawn.setdefault(name, line)
        axis.set_title(title, fontsize=9, loc="left")
        epoch_axis(axis)
        axis.tick_params(labelsize=8)
    add_legend(
        figure, list(drawn.values()), list(drawn), loc="outside upper center", ncols=4, fontsize=9, frameon=False
    )
    return figure


def _operations(groups: dict[str, list[SearchHistory]]):
    """The mean softmax(alpha) of every operation, one panel a group."""
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    figure, axes = new_figure(rows, columns, width=max(3.8 * columns, 6.0), height=2.8 * rows + 0.5)
    handles = {}
    for axis, (name, members) in zip(axes, groups.items(), strict=False):
        means = _operation_means(members)
        for operation, values in means.items():
            color = operation_color(operation, list(means))
            handles[operation] = axis.plot(values, color=color, linewidth=1.8)[0]
        axis.set_title(name, fontsize=9, loc="left")
        epoch_axis(axis)
        axis.set_ylabel("mean softmax(alpha)", fontsize=9)
        axis.set_ylim(0, 1)
        axis.tick_params(labelsize=8)
    for axis in axes[len(groups) :]:
        axis.set_visible(False)
    add_legend(
        figure, list(handles.values()), list(handles), loc="outside upper center", ncols=5, fontsize=8, frameon=False
    )
    return figure


def _operation_means(members: list[SearchHistory]) -> dict[str, np.ndarray]:
    """{operation: mean weight [epochs]} over the edges that offer it, kinds of cell and seeds."""
    shortest = min(len(weights) for history in members for weights in history.weights.values())
    found: dict[str, list[np.ndarray]] = {}
    for history in members:
        for kind, weights in history.weights.items():
            for edge, names in enumerate(history.primitives[kind]):
                for k, name in enumerate(names):
                    found.setdefault(name, []).append(weights[:shortest, edge, k])
    return {name: np.mean(series, axis=0) for name, series in found.items()}
