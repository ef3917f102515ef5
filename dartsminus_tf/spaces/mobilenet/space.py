"""The space `mobilenet`: what every searched layer may be.

Six inverted residuals (kernel 3, 5, 7; expansion 3, 6) everywhere. A skip, and with it the auxiliary skip of DARTS-,
only where stride is 1 and the width stays: elsewhere there is no identity to add. alpha is
{"change": [6, 6], "keep": [13, 7]}: the layers that change stride or width, and the others.
"""

from dartsminus_tf.spaces.mobilenet.genotype import BLOCKS, PRIMITIVES
from dartsminus_tf.spaces.mobilenet.plan import LAYERS, STEM, plan_network
from dartsminus_tf.spaces.space import Space

_KEPT = sum(layer.has_skip for layer in plan_network().layers)  # at the paper's number of layers

SPACE = Space(
    "mobilenet",
    "mobilenet",
    {"change": (BLOCKS,) * (LAYERS - _KEPT), "keep": (PRIMITIVES,) * _KEPT},
    {"channels": STEM, "layers": LAYERS},
)
