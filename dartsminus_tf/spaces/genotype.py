"""What genotypes of all families have in common, and how a text finds the family that it belongs to."""

import json
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from dartsminus_tf.foundation.errors import UsageError

MAX_LENGTH = 20_000


class CellGraph(NamedTuple):
    """A cell as a drawing shows it.

    Attributes:
        states: the names of its states, inputs first.
        edges: (source, target, operation): which operation of which state goes into which later state, by index.
        chain: whether it is a whole network, one layer after the other, and is drawn in lines.
    """

    states: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]
    chain: bool = False


class Genotype(ABC):
    """The discrete architecture that a search ends with. Equal genotypes describe equal networks.

    The class methods read a genotype of any family; called on a family's own class they read that family alone.

    Attributes:
        fields: the keys of the family's JSON form, by which it is recognised.
        text_form: what the family's text form looks like, for messages.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    text_form: ClassVar[str] = ""
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

    @classmethod
    @abstractmethod
    def parse(cls, text: str) -> "Genotype | None":
        """Read the family's own text form; None where `text` is not of that form at all."""

    def count(self, primitive: str) -> dict[str, int]:
        """How many operations of each kind of cell are `primitive`."""
        return {kind: names.count(primitive) for kind, names in self.operations.items()}

    def rows(self) -> list[tuple[str, str]]:
        """(kind and state, what is summed there) of every state that operations reach, for tables."""
        found: dict[str, list[str]] = {}
        for kind, graph in self.graphs.items():
            for source, target, operation in graph.edges:
                terms = found.setdefault(f"{kind} {graph.states[target]}", [])
                terms.append(f"{operation}({graph.states[source]})")
        return [(place, " + ".join(terms)) for place, terms in found.items()]

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
        genotype = cls.read(text)
        if genotype is None:
            families = Genotype._families if cls is Genotype else [cls]
            forms = " nor ".join(family.text_form for family in families)
            raise UsageError(f"Not a genotype: neither {forms}. Received: {shortened(text)}")
        return genotype

    @classmethod
    def read(cls, text: str) -> "Genotype | None":
        """The genotype that `text` spells in the text form of a family; None where it is of none of these forms.

        Raises:
            UsageError: where it is of such a form, but malformed.
        """
        if not isinstance(text, str) or len(text) > MAX_LENGTH:
            return None
        families = Genotype._families if cls is Genotype else [cls]
        return next((found for family in families if (found := family.parse(text.strip())) is not None), None)


def shortened(value) -> str:
    """`repr(value)`, at most 120 characters of it."""
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
