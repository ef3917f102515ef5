"""Figures of matplotlib whose texts are texts: names of classes and runs are neither mathematics nor several lines."""

import io
import warnings
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from dartsminus_tf.foundation.output import shown

DPI = 110
LONGEST_LABEL = 60  # characters; longer ones leave no room for what they name
_PLAIN = {"text.parse_math": False, "text.usetex": False, "axes.formatter.use_mathtext": False}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches, independent of any screen."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_legend(target: Axes | Figure, handles: Sequence, names: Sequence[str], **options) -> Legend:
    """A legend that calls `handles` by `names`; matplotlib by itself would leave out names with `_` before them."""
    legend = target.legend(handles, [str(number) for number in range(len(names))], **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)
    return legend


def png(figure: Figure) -> bytes:
    """`figure` as PNG. Every text in it is shown as it stands, on one line, its end cut off where it is too long."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_usetex(False)
        text.set_text(shown(text.get_text(), LONGEST_LABEL))
    buffer = io.BytesIO()
    with matplotlib.rc_context(_PLAIN), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # drawn as a box
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
