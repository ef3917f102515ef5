"""The space `mobilenet`: what every searched layer may be.

Six inverted residuals (kernel 3, 5, 7; expansion 3, 6) everywhere. A skip, and with it the auxiliary skip of DARTS-,
only where stride is 1 and the width stays: elsewhere there is no identity to add.
"""

from dataclasses import dataclass
from typing import ClassVar

from dartsminus_tf.spaces.mobilenet.genotype import BLOCKS, PRIMITIVES
from dartsminus_tf.spaces.mobilenet.plan import LAYERS, STEM, plan_network
from dartsminus_tf.spaces.options import SupernetOptions


@dataclass(frozen=True)
class MobileSpace:
    """The MobileNetV2-like space.

    alpha is {"change": [6, 6], "keep": [13, 7]}: the layers that change stride or width, and the others.
    """

    defaults: ClassVar[dict[str, int]] = {"channels": STEM, "layers": LAYERS}

    name: str = "mobilenet"
    primitives: tuple[str, ...] = PRIMITIVES

    @property
    def candidates(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """{kind of layer: the names of every layer's candidates}, at the paper's number of layers."""
        kept = sum(layer.has_skip for layer in plan_network().layers)
        return {"change": (BLOCKS,) * (LAYERS - kept), "keep": (PRIMITIVES,) * kept}

    def build_supernet(self, channels: int, layers: int, num_classes: int, options: SupernetOptions):
        """See `dartsminus_tf.build_supernet`. `channels` is the stem's width, which scales all others (32 is 1.0);
        `layers` the searched layers, 6 to 19."""
        from dartsminus_tf.spaces.mobilenet.supernet import MobileSupernet

        return MobileSupernet(self, channels, layers, num_classes, options)


MOBILENET = MobileSpace()
