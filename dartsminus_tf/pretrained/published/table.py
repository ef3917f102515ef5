"""All presets: the families' published networks with weights, and the zoo's genotypes without."""

from functools import cache
from pathlib import Path
from typing import Any

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.families import FAMILIES
from dartsminus_tf.spaces.find import published
from dartsminus_tf.spaces.preset import Preset

ZOO_CLASSES = {"cifar10": 10, "cifar100": 100}


@cache
def known_presets() -> dict[str, Preset]:
    """{name: preset} of all families' networks with weights."""
    found = [family.load(family.presets)() for family in FAMILIES.values() if family.presets]
    return {preset.name: preset for group in found for preset in group}


def require_preset(name: str) -> str:
    """`name`, which is a preset's, a genotype's of the zoo, or looks like a file's.

    Raises:
        UsageError: where it is none of them.
    """
    known = name in known_presets() or name in published()
    if not known and "/" not in name and not Path(name).suffix and not Path(name).exists():
        raise UsageError(
            f"Presets are {', '.join(known_presets())}, the zoo's genotypes, or a file. Received: {name!r}"
        )
    return name


def zoo_data(name: str) -> str:
    """The data set that a published genotype of the zoo was searched on: its name says so, or it is CIFAR-10."""
    return name.split("_")[0] if name.split("_")[0] in ZOO_CLASSES else "cifar10"


def presets() -> list[dict[str, Any]]:
    """All presets, as rows of a table: networks with published weights, then genotypes of the zoo without weights.

    Returns:
        Rows with name, source, licence, top1 (per cent on ImageNet, as published), multiply_adds (of one image of
        `image_size`), parameters, image_size, preprocessing ({"mean", "std"} of pixels divided by 255), tested ("on the
        published file" or "on names and shapes"). Of the zoo's genotypes, which are not trained, the number of
        parameters is that of the paper's setting for their data (C=36, L=20).
    """
    rows = [
        {
            "name": preset.name,
            "source": preset.source.text,
            "licence": preset.licence,
            "top1": preset.top1,
            "multiply_adds": preset.multiply_adds,
            "parameters": preset.parameters,
            "image_size": preset.image_size,
            "preprocessing": preset.preprocessing,
            "tested": "on the published file" if preset.seen else "on names and shapes",
        }
        for preset in known_presets().values()
    ]
    zoo = {name: entry.get(f"{zoo_data(name)}_C36_L20", [None])[0] for name, entry in published().items()}
    return rows + [
        {**dict.fromkeys(rows[0]), "name": name, "source": "genotype without weights", "parameters": number}
        for name, number in zoo.items()
    ]
