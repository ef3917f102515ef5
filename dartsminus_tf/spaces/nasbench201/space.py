"""The space NAS-Bench-201: a cell of four states, all of whose six edges offer the same five operations.

State 0 is the cell's input, state 3 its output; every state is the sum of what its edges bring. A network has three
stages of N such cells, with a residual block between two stages that halves the image and doubles the width.
"""

from dataclasses import dataclass
from typing import ClassVar

from dartsminus_tf.ops.candidates import Edge
from dartsminus_tf.spaces.nasbench201.genotype import EDGES, PRIMITIVES
from dartsminus_tf.spaces.options import SupernetOptions

CELL_EDGES = tuple(Edge(source, target, stride=1) for source, target in EDGES)


@dataclass(frozen=True)
class BenchmarkSpace:
    """NAS-Bench-201; alpha is {"cell": [6, 5]}, shared by all cells."""

    defaults: ClassVar[dict[str, int]] = {"channels": 16, "layers": 5}

    name: str = "nasbench201"
    primitives: tuple[str, ...] = PRIMITIVES

    @property
    def candidates(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """{kind of cell: the names of every edge's candidates}."""
        return {"cell": (self.primitives,) * len(CELL_EDGES)}

    def build_supernet(self, channels: int, layers: int, num_classes: int, options: SupernetOptions):
        """See `dartsminus_tf.build_supernet`; `layers` is N, the cells of a stage."""
        from dartsminus_tf.spaces.nasbench201.supernet import BenchmarkSupernet

        return BenchmarkSupernet(self, channels, layers, num_classes, options)


NASBENCH201 = BenchmarkSpace()
