"""What genotypes of all families have in common, and how a text finds the family that it belongs to."""

import json
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import keras

from dartsminus_tf.foundation.errors import UsageError

MAX_LENGTH = 20_000


class CellGraph(NamedTuple):
    """A cell as a drawing shows it.

    Attributes:
        states: the names of its states, inputs first.
        edges: (source, target, operation): which operation of which state goes into which later state, by index.
    """

    states: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]


class Genotype(ABC):
    """The discrete architecture that a search ends with. Equal genotypes describe equal networks.

    The class methods read a genotype of any family; called on a family's own class they read that family alone.

    Attributes:
        fields: the keys of the family's JSON form, by which it is recognised.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    _families: ClassVar[list[type["Genotype"]]] = []

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Genotype._families.append(cls)

    @property
    @abstractmethod
    def operations(self) -> dict[str, tuple[str, ...]]:
        """The names of the chosen operations for each kind of cell, in order."""

    @property
    @abstractmethod
    def graphs(self) -> dict[str, CellGraph]:
        """Each kind of cell as a graph."""

    @property
    @abstractmethod
    def short(self) -> str:
        """The genotype on one short line, for tables."""

    @abstractmethod
    def to_dict(self) -> dict:
        """The JSON form as Python objects."""

    @abstractmethod
    def build_network(self, **options) -> keras.Model:
        """See `dartsminus_tf.build_network`."""

    @classmethod
    @abstractmethod
    def parse(cls, text: str) -> "Genotype | None":
        """Read the family's own text form; None where `text` is not of that form at all."""

    def count(self, primitive: str) -> dict[str, int]:
        """How many operations of each kind of cell are `primitive`."""
        return {kind: names.count(primitive) for kind, names in self.operations.items()}

    def share(self, primitive: str) -> float:
        """The part of all operations that are `primitive`, in [0, 1]."""
        return sum(self.count(primitive).values()) / sum(map(len, self.operations.values()))

    def to_json(self) -> str:
        """The JSON form, on one line."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: dict) -> "Genotype":
        """Read the JSON form from Python objects."""
        families = Genotype._families if cls is Genotype else [cls]
        for family in families:
            if isinstance(data, dict) and set(data) == set(family.fields):
                return family(**data)
        expected = " or ".join(", ".join(family.fields) for family in families)
        raise UsageError(f"A genotype has exactly the keys {expected}. Received: {shortened(data)}")

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """Read the JSON form."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"The genotype is not valid JSON ({error}). Received: {shortened(text)}") from None
        return cls.from_dict(data)

    @classmethod
    def from_string(cls, text: str) -> "Genotype":
        """Read what `str` of a genotype gives, or what other codes print. The text is parsed, never evaluated."""
        if isinstance(text, str) and len(text) <= MAX_LENGTH:
            for family in Genotype._families if cls is Genotype else [cls]:
                genotype = family.parse(text.strip())
                if genotype is not None:
                    return genotype
        raise UsageError(
            "Not a genotype: neither Genotype(normal=[...], ...) nor an arch string |op~0|+|op~0|op~1|+... nor "
            "stages of a mobile network k3e6,skip|k5e3|... "
            f"Received: {shortened(text)}"
        )


def shortened(value) -> str:
    """`repr(value)`, at most 120 characters of it."""
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
