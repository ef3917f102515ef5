"""How all figures look: one colour an operation, one a run, the same everywhere."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dartsminus_tf.foundation import figures
from dartsminus_tf.foundation.disk.files import write_atomically

RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#000000")
OPERATION_COLORS = {
    "none": "#bbbbbb",
    "skip_connect": "#d62728",
    "sep_conv_3x3": "#1f77b4",
    "sep_conv_5x5": "#08519c",
    "sep_conv_7x7": "#08306b",
    "dil_conv_3x3": "#2ca02c",
    "dil_conv_5x5": "#006d2c",
    "max_pool_3x3": "#ff7f0e",
    "avg_pool_3x3": "#e6ab02",
    "nor_conv_1x1": "#6baed6",
    "nor_conv_3x3": "#1f77b4",
    "noise": "#9467bd",
}
LONGEST_STEM = 100  # characters
_OTHERS = ("#8c564b", "#17becf", "#e377c2", "#bcbd22", "#637939", "#7b4173")


def operation_color(name: str, names: Sequence[str]) -> str:
    """The colour of operation `name`; one that is not of the cell spaces gets its own among those of `names`."""
    if name in OPERATION_COLORS:
        return OPERATION_COLORS[name]
    others = [other for other in dict.fromkeys(names) if other not in OPERATION_COLORS]
    return _OTHERS[others.index(name) % len(_OTHERS)]


def run_color(index: int) -> str:
    """The colour of the index-th run or group of runs."""
    return RUN_COLORS[index % len(RUN_COLORS)]


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches and its axes, row by row."""
    figure = figures.new_figure(width, height)
    axes = list(figure.subplots(rows, columns, squeeze=False).reshape(-1))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def stem_of(name: str) -> str:
    """What files of the run `name` are called; a digest tells apart those that are cut or of unusual characters."""
    plain = name.replace("/", "_")
    stem = re.sub(r"[^\w .+=-]", "_", plain, flags=re.ASCII)[:LONGEST_STEM]
    return stem if stem == plain else f"{stem}_{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"


def epoch_axis(axis: Axes) -> None:
    """Epochs to the right, in whole numbers."""
    axis.set_xlabel("epoch", fontsize=9)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` as PNG and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, figures.png(figure))
    return path
