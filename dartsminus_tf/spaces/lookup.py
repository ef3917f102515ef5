"""Space names -> spaces, and the one way to build a supernet of any space."""

import keras

from dartsminus_tf.errors import UsageError
from dartsminus_tf.spaces.darts.space import SPACES as DARTS_SPACES
from dartsminus_tf.spaces.darts.space import CellSpace

SPACES = {**DARTS_SPACES}


def get_space(name: str) -> CellSpace:
    """The space called `name`, such as "s0"."""
    if name not in SPACES:
        raise UsageError(f"Unknown space; known are {', '.join(SPACES)}. Received: {name!r}")
    return SPACES[name]


def build_supernet(
    space: CellSpace | str,
    channels: int = 16,
    layers: int = 8,
    num_classes: int = 10,
    auxiliary_skip: bool = True,
    skip_dropout: float = 0.0,
) -> keras.Model:
    """The supernet of `space`: `net(x, training=...)` maps images [N, H, W, 3] to logits [N, num_classes].

    Args:
        space: a space or its name.
        channels: width of the first cells' states.
        layers: number of cells.
        num_classes: of the data set.
        auxiliary_skip: DARTS-'s auxiliary skip on every edge; False is plain DARTS.
        skip_dropout: initial rate, in [0, 1), of the dropout on `skip_connect` candidates in training (P-DARTS).
    """
    space = get_space(space) if isinstance(space, str) else space
    return space.build_supernet(
        channels=channels,
        layers=layers,
        num_classes=num_classes,
        auxiliary_skip=auxiliary_skip,
        skip_dropout=skip_dropout,
    )
