"""The record of the MobileNetV2-like space of the paper's ImageNet experiments."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from dartsminus_tf.foundation.config.typed import Fraction, Strict
from dartsminus_tf.foundation.errors import require
from dartsminus_tf.spaces.family import Family
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.mobilenet.genotype import MobileGenotype
from dartsminus_tf.spaces.mobilenet.plan import (
    DEEPEST,
    HEAD,
    PYTORCH,
    SEPARABLE,
    STEM,
    WIDEST,
    WIDTHS,
    Convention,
    described,
    plan_network,
)
from dartsminus_tf.spaces.mobilenet.space import SPACE

Width = Annotated[int, Field(gt=0, le=WIDEST)]
AROUND = {"stem": STEM, "separable": SEPARABLE, "head": HEAD}
Depth = Annotated[int, Field(gt=0, le=DEEPEST)]


class MobileSearchConfig(Strict):
    """Options of supernets of space mobilenet; see `spaces.mobilenet.supernet.MobileSupernet`."""

    depths: Annotated[tuple[Depth, ...], Field(min_length=6, max_length=6)] | None = None
    widths: Annotated[tuple[Width, ...], Field(min_length=6, max_length=6)] | None = None
    stem_width: Width = STEM
    separable_width: Width = SEPARABLE
    head_width: Width = HEAD
    padding: Literal["symmetric", "same"] = PYTORCH.padding
    norm_epsilon: Annotated[float, Field(gt=0, le=1)] = PYTORCH.norm_epsilon
    affine: bool = False


class MobileConfig(MobileSearchConfig):
    """Options of networks of space mobilenet; see `spaces.mobilenet.network.MobileNetwork`.

    `depths` are the genotype's own, and norms are affine whatever `affine` says, so that a search's section can be
    taken over whole.
    """

    squeeze_excitation: bool = False
    activation: Literal["relu6", "relu", "swish"] = "relu6"
    width_multiplier: Annotated[float, Field(gt=0, le=10)] = 1.0
    dropout: Fraction = 0.0


def implied_sizes(section: Mapping[str, Any]) -> dict[str, int]:
    """{"layers": their sum} where a section of a search's config, as it is given, says depths."""
    depths = section.get("depths")
    listed = isinstance(depths, list | tuple) and all(isinstance(depth, int) for depth in depths)
    return {"layers": sum(depths)} if listed else {}


def start_section(network: Mapping[str, Any]) -> dict[str, Any]:
    """The section of a search whose supernet has the layers of a network, of its options; the widths are those that it
    really has, with its multiplier in them, and norms are affine.

    Raises:
        UsageError: where it has what supernets lack.
    """
    depths = Genotype.from_dict(network["genotype"]).depths
    multiplier = network.get("width_multiplier", 1.0) * network.get("channels", STEM) / STEM
    around = [network.get(f"{name}_width", usual) for name, usual in AROUND.items()]
    plan = plan_network(depths, network.get("widths") or WIDTHS, multiplier, *around)
    for name, only in (("activation", "relu6"), ("squeeze_excitation", False)):
        require(
            network.get(name, only) == only, f"Supernets have {name}={only!r} alone, so must init", network.get(name)
        )
    convention = (network.get(name, usual) for name, usual in PYTORCH._asdict().items())
    return {**described(plan, Convention(*convention)), "affine": True}


MOBILENET = Family(
    name="mobilenet",
    package=__package__,
    spaces=(SPACE,),
    genotype=MobileGenotype,
    supernet="supernet:MobileSupernet",
    network="network:build_network",
    features=frozenset({"flops", "precision", "rematerialize", "init", "distill"}),
    section="mobile",
    options=MobileConfig,
    search_options=MobileSearchConfig,
    implied_sizes=implied_sizes,
    draw="draw:draw",
    presets="published.presets:presets",
    preset_slots="published.slots:preset_slots",
    inherit="inherit:inherit",
    inherit_supernet="inherit:inherit_supernet",
    start_section=start_section,
    derive="inherit:derive",
    stem="imagenet",
)
