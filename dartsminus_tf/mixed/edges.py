"""The edges of a searched cell, in pure Python: spaces name them without TensorFlow."""

from typing import NamedTuple


class Edge(NamedTuple):
    """An edge of the cell's graph: from state `source` to node `target`; `stride` 2 where it halves the image."""

    source: int
    target: int
    stride: int
