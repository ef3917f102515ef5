"""`hessian`: eigenvalues of d2 L_val / d alpha2 over a search, RobustDARTS' indicator of a bad architecture.

Small alphas get the whole matrix, column by column of exact Hessian-vector products; large ones their largest
eigenvalue by Lanczos iterations on the same products.
"""

import keras
import numpy as np

from dartsminus_tf.analysis.restored import RestoredSearch
from dartsminus_tf.analysis.settings import HessianSettings
from dartsminus_tf.foundation.disk.tables import write_csv
from dartsminus_tf.foundation.figures import add_legend
from dartsminus_tf.loop.reporting import progress_bar
from dartsminus_tf.report.page import Section
from dartsminus_tf.report.request import Request
from dartsminus_tf.report.style import new_figure, run_color, save
from dartsminus_tf.search.hessian import AlphaHessian
from dartsminus_tf.search.history import SearchHistory, find_histories


def analyse(request: Request) -> Section:
    """The spectra at every checkpoint of every search in `request.run_dirs`."""
    settings: HessianSettings = request.settings
    rows, spectra = [], {}
    for history in find_histories(request.run_dirs):
        found = measure(history, settings)
        rows += [{name: value for name, value in row.items() if name != "spectrum"} for row in found]
        spectra[history.name] = found
        keras.backend.clear_session()
    section = Section("hessian", "The Hessian of alpha")
    section.figure(
        save(_trajectories(spectra), request.directory / "hessian.png"),
        "Largest eigenvalue of d2 L_val / d alpha2 at every checkpoint; the mean over batches.",
    )
    if any(row["spectrum"] is not None for found in spectra.values() for row in found):
        section.figure(
            save(_last_spectra(spectra), request.directory / "hessian_spectrum.png"),
            "All eigenvalues at the last checkpoint, by size.",
        )
    section.table(rows)
    section.file(write_csv(request.directory / "hessian.csv", rows))
    section.file(write_csv(request.directory / "hessian_spectrum.csv", _spectrum_rows(spectra)))
    return section


def measure(history: SearchHistory, settings: HessianSettings) -> list[dict]:
    """One row a checkpoint and batch: epoch, largest and smallest eigenvalue, and the `spectrum` [entries] or None."""
    search = RestoredSearch(history)
    hessian = AlphaHessian(search.model)
    exact = hessian.size <= settings.exact_limit
    total, verbose = len(search.saved) * settings.batches, progress_bar(settings.runtime.verbose)
    progress, rows = keras.utils.Progbar(total, verbose=verbose, unit_name="spectrum"), []
    for path in search.saved:
        epochs = search.load(path)
        for batch, (x, y) in enumerate(search.batches(settings.batches)):
            spectrum = np.linalg.eigvalsh(hessian.matrix(x, y)) if exact else None
            largest = float(spectrum[-1]) if exact else hessian.largest_eigenvalue(x, y)
            smallest = float(spectrum[0]) if exact else None
            row = {"run": history.name, "epochs": epochs, "batch": batch, "largest": largest, "smallest": smallest}
            rows.append(row | {"method": "exact" if exact else "lanczos", "spectrum": spectrum})
            progress.add(1)
    return rows


def _trajectories(spectra: dict[str, list[dict]]):
    figure, (axis,) = new_figure(1, 1, 7, 3.6)
    for index, rows in enumerate(spectra.values()):
        epochs = sorted({row["epochs"] for row in rows})
        means = [np.mean([row["largest"] for row in rows if row["epochs"] == epoch]) for epoch in epochs]
        axis.plot(epochs, means, "o-", color=run_color(index), markersize=4, linewidth=1.8)
    axis.set_xlabel("epochs")
    axis.set_ylabel("largest eigenvalue")
    add_legend(axis, axis.lines, list(spectra), frameon=False)
    return figure


def _last_spectra(spectra: dict[str, list[dict]]):
    figure, (axis,) = new_figure(1, 1, 7, 3.6)
    drawn = []
    for index, (name, rows) in enumerate(spectra.items()):
        values = rows[-1]["spectrum"]
        if values is not None:
            axis.plot(values[::-1], "o-", color=run_color(index), markersize=3, linewidth=1.2)
            drawn.append(name)
    add_legend(axis, axis.lines, drawn, frameon=False)
    axis.axhline(0, color="#bbbbbb", linewidth=0.8)
    axis.set_xlabel("eigenvalue, by size")
    axis.set_ylabel("value")
    return figure


def _spectrum_rows(spectra: dict[str, list[dict]]) -> list[dict]:
    """One row an eigenvalue, of every checkpoint and batch."""
    rows = []
    for name, found in spectra.items():
        for row in found:
            for place, value in enumerate([] if row["spectrum"] is None else row["spectrum"][::-1]):
                rows.append(
                    {"run": name, "epochs": row["epochs"], "batch": row["batch"], "place": place, "value": float(value)}
                )
    return rows
