"""The genotype of a mobile network: what each searched layer is, stage by stage.

JSON form: {"stages": [["ir_k3_e6", "skip_connect"], ...]}: an inverted residual with kernel 3 and expansion 6, a skip.
String: `k3e6,skip|k5e3,...|...`, a bar between stages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.genotype import CellGraph, Genotype, shortened
from dartsminus_tf.spaces.mobilenet.plan import STRIDES

KERNELS, EXPANSIONS = (3, 5, 7), (3, 6)
SKIP = "skip_connect"
BLOCKS = tuple(f"ir_k{kernel}_e{expansion}" for kernel in KERNELS for expansion in EXPANSIONS)
PRIMITIVES = (*BLOCKS, SKIP)

_BLOCK = re.compile(r"ir_k(\d)_e(\d)")
_SHORT = {"skip": SKIP} | {name.removeprefix("ir_").replace("_", ""): name for name in BLOCKS}
_LONG = {name: short for short, name in _SHORT.items()}


def block_of(primitive: str) -> tuple[int, int]:
    """(kernel, expansion) of an inverted residual."""
    match = _BLOCK.fullmatch(primitive)
    return int(match[1]), int(match[2])


@dataclass(frozen=True)
class MobileGenotype(Genotype):
    """A mobile network.

    Args:
        stages: for each of the six stages, the names of its layers' operations, at least one.

    Raises:
        UsageError: on anything malformed, and where a stage begins with a skip: its first layer changes stride or
            width.
    """

    fields = ("stages",)
    text_form = "stages of a mobile network k3e6,skip|k5e3|..."

    stages: tuple[tuple[str, ...], ...]

    def __post_init__(self):
        object.__setattr__(self, "stages", _stages(self.stages))

    @classmethod
    def parse(cls, text: str) -> "MobileGenotype | None":
        """Read the form `k3e6,skip|...`."""
        if not re.match(r"(k\de\d|skip)[,|]", text):
            return None
        names = [[name.strip() for name in stage.split(",")] for stage in text.split("|")]
        return cls(tuple(tuple(_SHORT.get(name, name) for name in stage) for stage in names))

    @property
    def depths(self) -> tuple[int, ...]:
        """How many layers each stage has."""
        return tuple(map(len, self.stages))

    @property
    def operations(self) -> dict[str, tuple[str, ...]]:
        return {"layers": tuple(name for stage in self.stages for name in stage)}

    @property
    def graphs(self) -> dict[str, CellGraph]:
        """The whole network: one layer after the other."""
        names = self.operations["layers"]
        states = ("stem", *(f"layer {number}" for number in range(1, len(names) + 1)))
        return {"layers": CellGraph(states, tuple((i, i + 1, name) for i, name in enumerate(names)), chain=True)}

    @property
    def short(self) -> str:
        return str(self)

    def to_dict(self) -> dict:
        return {"stages": [list(stage) for stage in self.stages]}

    def __str__(self) -> str:
        return "|".join(",".join(_LONG[name] for name in stage) for stage in self.stages)


def uniform_genotype(primitive: str, depths: Sequence[int]) -> MobileGenotype:
    """The network whose layers are all `primitive`: MobileNetV2 1.0 is `ir_k3_e6` with depths 2, 3, 4, 3, 3, 1."""
    return MobileGenotype(tuple((primitive,) * depth for depth in depths))


def _stages(stages) -> tuple[tuple[str, ...], ...]:
    listed = isinstance(stages, Sequence) and not isinstance(stages, str)
    if not listed or len(stages) != len(STRIDES):
        raise UsageError(f"'stages' lists the operations of {len(STRIDES)} stages. Received: {shortened(stages)}")
    for number, stage in enumerate(stages, start=1):
        if not isinstance(stage, Sequence) or isinstance(stage, str) or not 1 <= len(stage) <= 100:
            raise UsageError(f"Stage {number} of a genotype lists 1 to 100 operations. Received: {shortened(stage)}")
        for name in stage:
            if name not in PRIMITIVES:
                raise UsageError(
                    f"Stage {number} of the genotype names an operation that the space lacks; it has "
                    f"{', '.join(PRIMITIVES)}. Received: {shortened(name)}"
                )
        if stage[0] == SKIP:
            raise UsageError(
                f"Stage {number} changes stride or width, so it must not begin with a skip. Received: skip"
            )
    return tuple(map(tuple, stages))
