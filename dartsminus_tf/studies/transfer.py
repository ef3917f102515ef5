"""`transfer`: what a search that starts from published weights is worth, on pictures of one's own (or CIFAR-10).

The whole network, fine-tuned; networks of a share of its cost that are found by DARTS- from its weights; random ones of
the same cost that inherit in the same way; and what is lost where one part is left out (see `chains`).
"""

import statistics
from pathlib import Path

import keras
import numpy as np

from dartsminus_tf.export.saved_model import MANIFEST
from dartsminus_tf.export.trained import export_training
from dartsminus_tf.foundation.disk.tables import Row, mean_and_spread, write_csv
from dartsminus_tf.foundation.output import say
from dartsminus_tf.foundation.runs.results import TrainResult, finished_result, stored_json
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.report.style import new_figure, run_color, save
from dartsminus_tf.search.runner import run_search
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.studies.chains import ROWS, Chain, Plan
from dartsminus_tf.studies.settings import TransferSettings
from dartsminus_tf.train.runner import run_training

FORMAT = "litert"
AVERAGED = ("accuracy", "multiply_adds", "parameters", "milliseconds", "search_seconds", "train_seconds")


def analyse(request: Request) -> Section:
    """Search and train every row (what is finished stays), and compare."""
    settings: TransferSettings = request.settings
    plan, rows = Plan(settings, request.directory / "transfer"), []
    for chain in plan.chains():
        say(f"transfer: {chain.name}")
        rows.append(run_chain(plan, chain))
        write_csv(request.directory / "transfer.csv", rows)
        keras.backend.clear_session()
    return _section(request.directory, settings, rows)


def run_chain(plan: Plan, chain: Chain) -> Row:
    """Search where the chain does, train, export for LiteRT; the chain's row of the table."""
    search = {}
    if chain.searches:
        search = run_search(plan.search(chain, _whole_cost(plan)), chain.path / "search")
    genotype = _drawn(plan, chain) if chain.row == "random" else None
    result = run_training(plan.training(chain, genotype), chain.path / "train")
    return {
        "row": chain.row,
        "seed": chain.seed,
        "accuracy": result["test_accuracy"],
        "multiply_adds": result["multiply_adds"],
        "share": result["multiply_adds"] / _whole_cost(plan),
        "parameters": result["parameters"],
        "milliseconds": _milliseconds(chain),
        "search_seconds": search.get("seconds"),
        "train_seconds": result["seconds"],
        "genotype": Genotype.from_dict(result["genotype"]).short,
    }


def _whole_cost(plan: Plan) -> int:
    return finished_result(plan.whole / "train", TrainResult)["multiply_adds"]


def _drawn(plan: Plan, chain: Chain) -> dict:
    """A random genotype of the cost of the network that the chain's supernet was searched for."""
    search, train = plan.settings.search, finished_result(chain.source / "train", TrainResult)
    family = family_of(search.space)
    genotype = family.load(family.draw)(
        np.random.default_rng([chain.seed, int(chain.name.removeprefix("random_"))]),
        channels=search.channels,
        image_size=search.data.image_size,
        num_classes=len(train["class_names"]),
        multiply_adds=train["multiply_adds"],
        **search.space_options,
    )
    return genotype.to_dict()


def _milliseconds(chain: Chain) -> float:
    """Of one image in LiteRT, one thread; measured once, when the chain was exported."""
    backbone = chain.path / "backbone"
    if not (backbone / MANIFEST).exists():
        export_training(chain.path / "train", backbone, [FORMAT])
    return stored_json(backbone / MANIFEST)["latency"]["milliseconds"][FORMAT]


def grouped(rows: list[Row]) -> list[Row]:
    """One line a row of the study: means over its networks, and the spread of what differs."""
    table = []
    for name in ROWS:
        members = [row for row in rows if row["row"] == name]
        values = {key: [float(row[key]) for row in members if row[key] is not None] for key in AVERAGED}
        found = {key: mean_and_spread(numbers) if numbers else None for key, numbers in values.items()}
        share = statistics.fmean(row["share"] for row in members)
        table.append({"row": name, "networks": len(members), **found, "share": round(share, 3)})
    return table


def verdict(rows: list[Row]) -> str:
    """The two comparisons that the study is for, in words."""
    points = {name: [100 * row["accuracy"] for row in rows if row["row"] == name] for name in ROWS}
    mean = {name: statistics.fmean(values) for name, values in points.items()}
    gap, gain = mean["whole"] - mean["searched"], mean["searched"] - mean["random"]
    line = f"The searched networks are {gap:+.2f} points below the whole one and {gain:+.2f} above the random ones"
    if len(points["random"]) < 2:
        return f"{line}."
    deviation = statistics.stdev(points["random"])
    words = "more" if gain > deviation else "no more"
    return f"{line}, which is {words} than those differ among themselves (standard deviation {deviation:.2f})."


def _section(directory: Path, settings: TransferSettings, rows: list[Row]) -> Section:
    section = Section("transfer", "From published weights")
    section.text(verdict(rows))
    section.text(
        f"{settings.train.data.name}, {settings.train.data.image_size} pixels; searches of {settings.search.epochs} "
        f"epochs, trainings of {settings.train.epochs}; wanted share of the multiply-adds {settings.share:g}."
    )
    section.table(grouped(rows))
    section.figure(save(_figure(rows), directory / "transfer.png"), "Test accuracy and cost of every network.")
    section.table(rows)
    section.file(directory / "transfer.csv")
    return section


def _figure(rows: list[Row]):
    figure, (axis,) = new_figure(1, 1, 6.5, 4)
    for index, name in enumerate(ROWS):
        members = [row for row in rows if row["row"] == name]
        x, y = [row["multiply_adds"] / 1e6 for row in members], [100 * row["accuracy"] for row in members]
        axis.scatter(x, y, color=run_color(index), s=36, label=name, alpha=0.85)
    axis.set_xlabel("multiply-adds (millions)", fontsize=9)
    axis.set_ylabel("test accuracy (%)", fontsize=9)
    axis.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
