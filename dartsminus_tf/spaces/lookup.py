"""Space names -> spaces, and the one way to build a supernet of any space."""

from typing import ClassVar, Protocol

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.darts.space import SPACES as DARTS_SPACES
from dartsminus_tf.spaces.mobilenet.space import MOBILENET
from dartsminus_tf.spaces.nasbench201.space import NASBENCH201
from dartsminus_tf.spaces.options import SupernetOptions
from dartsminus_tf.spaces.supernet import SearchNetwork


class Space(Protocol):
    """What every space has."""

    name: str
    primitives: tuple[str, ...]
    candidates: dict[str, tuple[tuple[str, ...], ...]]
    defaults: ClassVar[dict[str, int]]

    def build_supernet(self, channels: int, layers: int, num_classes: int, options: SupernetOptions) -> SearchNetwork:
        """The supernet, built on its first call."""


SPACES: dict[str, Space] = {**DARTS_SPACES, NASBENCH201.name: NASBENCH201, MOBILENET.name: MOBILENET}


def get_space(name: str) -> Space:
    """The space called `name`, such as "s0"."""
    if name not in SPACES:
        raise UsageError(f"Unknown space; known are {', '.join(SPACES)}. Received: {name!r}")
    return SPACES[name]


def build_supernet(
    space: Space | str,
    channels: int | None = None,
    layers: int | None = None,
    num_classes: int = 10,
    auxiliary: str | None = "skip",
    partial_channels: int = 1,
    edge_normalization: bool = False,
    skip_dropout: float = 0.0,
    rematerialize: bool = False,
) -> SearchNetwork:
    """The supernet of `space`: `net(x, training=...)` maps images [N, H, W, 3] to logits [N, num_classes].

    Args:
        space: a space or its name.
        channels: width of the first cells' states, of the stem in mobilenet; by default the paper's for the space.
        layers: number of cells; in NAS-Bench-201 the cells of a stage, in mobilenet the searched layers; by default the
            paper's for the space.
        num_classes: of the data set.
        auxiliary, partial_channels, edge_normalization, skip_dropout, rematerialize: see
            `spaces.options.SupernetOptions`.
    """
    space = get_space(space) if isinstance(space, str) else space
    options = SupernetOptions(auxiliary, partial_channels, edge_normalization, skip_dropout, rematerialize)
    channels = space.defaults["channels"] if channels is None else channels
    layers = space.defaults["layers"] if layers is None else layers
    return space.build_supernet(channels, layers, num_classes, options)
