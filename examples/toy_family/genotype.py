"""The toy's space and its genotypes: a chain of three operations, each of which halves the image."""

from dataclasses import dataclass

from dartsminus_tf.foundation.errors import require
from dartsminus_tf.mixed.edges import Edge
from dartsminus_tf.spaces.genotype import CellGraph, Genotype
from dartsminus_tf.spaces.space import Space

PRIMITIVES = ("sep_conv_3x3", "skip_connect")
EDGES = (Edge(0, 1, stride=2), Edge(1, 2, stride=2), Edge(2, 3, stride=2))
SPACE = Space("toy", "toy", {"chain": (PRIMITIVES,) * len(EDGES)}, {"channels": 8, "layers": len(EDGES)})


@dataclass(frozen=True)
class ToyGenotype(Genotype):
    """`chain` names the three operations in order. JSON form: {"chain": [...]}; text form: see `text_form`."""

    fields = ("chain",)
    text_form = "toy:operation+operation+operation"
    chain: tuple[str, ...]

    def __post_init__(self):
        names = tuple(self.chain) if isinstance(self.chain, list | tuple) else ()
        known = len(names) == len(EDGES) and all(name in PRIMITIVES for name in names)
        require(known, f"A toy's chain has {len(EDGES)} operations of {', '.join(PRIMITIVES)}", self.chain)
        object.__setattr__(self, "chain", names)

    @classmethod
    def parse(cls, text: str) -> "ToyGenotype | None":
        return cls(text.removeprefix("toy:").split("+")) if text.startswith("toy:") else None

    def __str__(self) -> str:
        return "toy:" + "+".join(self.chain)

    def to_dict(self) -> dict:
        return {"chain": list(self.chain)}

    short = property(__str__)

    @property
    def operations(self) -> dict[str, tuple[str, ...]]:
        return {"chain": self.chain}

    @property
    def graphs(self) -> dict[str, CellGraph]:
        edges = [(edge.source, edge.target, name) for edge, name in zip(EDGES, self.chain, strict=True)]
        return {"chain": CellGraph(("stem", "1/8", "1/16", "1/32"), tuple(edges), chain=True)}
