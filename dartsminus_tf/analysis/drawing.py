"""`cell`: derived cells as drawings.

Every state is a vertical line, every operation a lane of its own that leads from the line of the state it reads to
that of the state it feeds: no two labels can overlap. A chain of layers (MobileNet) is drawn as a strip.
"""

from pathlib import Path

from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.report.style import new_figure, operation_color, save, stem_of
from dartsminus_tf.search.history import find_histories
from dartsminus_tf.spaces.genotype import CellGraph, Genotype

WIDTH = 10.0
LANE = 0.34  # inches


def analyse(request: Request) -> Section:
    """Draw the result (or the last epoch's genotype) of every search in `request.run_dirs`."""
    section = Section("cell", "Derived cells")
    for history in find_histories(request.run_dirs):
        genotype = history.genotype
        section.text(f"{history.name}: {genotype}")
        for kind, path in draw(genotype, request.directory, f"cell_{stem_of(history.name)}").items():
            section.figure(path, f"{history.name}: the {kind} cell.")
    return section


def draw(genotype: Genotype, directory: Path, stem: str) -> dict[str, Path]:
    """Write `<stem>_<kind>.png` for every kind of cell of `genotype`; returns the files."""
    files = {}
    for kind, graph in genotype.graphs.items():
        figure = draw_strip(graph) if graph.chain else draw_graph(graph)
        files[kind] = save(figure, directory / f"{stem}_{kind}.png")
    return files


def draw_graph(graph: CellGraph):
    """The figure of a cell; lanes from top to bottom in the order of the edges."""
    edges = sorted(graph.edges, key=lambda edge: edge[1])
    figure, (axis,) = new_figure(1, 1, WIDTH, LANE * (len(edges) + 2) + 0.4)
    axis.set_axis_off()
    bottom = -len(edges)
    axis.set_xlim(-0.4, len(graph.states) - 0.6)
    axis.set_ylim(bottom - 0.6, 1.1)
    names = [name for _, _, name in edges]
    for index, state in enumerate(graph.states):
        axis.plot([index, index], [0.1, bottom - 0.3], color="#cccccc", linewidth=2, zorder=1)
        box = {"boxstyle": "round,pad=0.4", "facecolor": "#f2f2f2", "edgecolor": "#888888"}
        axis.text(index, 0.6, state, ha="center", va="center", fontsize=10, bbox=box, zorder=4)
    for lane, (source, target, name) in enumerate(edges):
        y, color = -lane - 0.5, operation_color(name, names)
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        axis.annotate("", (target, y), (source, y), arrowprops=arrow, zorder=2)
        axis.plot([source], [y], "o", color=color, markersize=5, zorder=3)
        label = {"boxstyle": "round,pad=0.25", "facecolor": color, "edgecolor": "none"}
        middle = (source + target) / 2 if target - source > 1 else source + 0.46
        axis.text(middle, y, name, ha="center", va="center", fontsize=8, color="white", bbox=label, zorder=5)
    return figure


def draw_strip(graph: CellGraph):
    """The figure of a chain of layers: one block a layer."""
    names = [name for _, _, name in graph.edges]
    figure, (axis,) = new_figure(1, 1, WIDTH, 1.9)
    axis.set_axis_off()
    axis.set_xlim(-0.8, len(names) - 0.2)
    axis.set_ylim(-0.6, 2.4)
    for index, (_, target, name) in enumerate(graph.edges):
        box = {"boxstyle": "round,pad=0.3", "facecolor": operation_color(name, names), "edgecolor": "none"}
        axis.text(
            index,
            1.3,
            name.replace("_", " "),
            rotation=90,
            ha="center",
            va="center",
            fontsize=9,
            color="white",
            bbox=box,
        )
        axis.text(index, -0.3, graph.states[target], rotation=0, ha="center", va="center", fontsize=7, color="#555555")
    return figure
