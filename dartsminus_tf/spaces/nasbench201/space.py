"""The space NAS-Bench-201: a cell of four states, all of whose six edges offer the same five operations.

State 0 is the cell's input, state 3 its output; every state is the sum of what its edges bring. A network has three
stages of N such cells, with a residual block between two stages that halves the image and doubles the width. alpha is
{"cell": [6, 5]}, shared by all cells.
"""

from dartsminus_tf.mixed.edges import Edge
from dartsminus_tf.spaces.nasbench201.genotype import EDGES, PRIMITIVES
from dartsminus_tf.spaces.space import Space

CELL_EDGES = tuple(Edge(source, target, stride=1) for source, target in EDGES)
SPACE = Space("nasbench201", "nasbench201", {"cell": (PRIMITIVES,) * len(EDGES)}, {"channels": 16, "layers": 5})
