"""The record of the MobileNetV2-like space of the paper's ImageNet experiments."""

from typing import Annotated, Literal

from pydantic import Field

from dartsminus_tf.foundation.config.typed import Fraction, Positive, Strict
from dartsminus_tf.spaces.family import Family
from dartsminus_tf.spaces.mobilenet.genotype import MobileGenotype
from dartsminus_tf.spaces.mobilenet.space import SPACE


class MobileConfig(Strict):
    """Options of networks of space mobilenet; see `spaces.mobilenet.network.MobileNetwork`."""

    squeeze_excitation: bool = False
    activation: Literal["relu6", "relu", "swish"] = "relu6"
    width_multiplier: Annotated[float, Field(gt=0, le=10)] = 1.0
    widths: Annotated[tuple[Positive, ...], Field(min_length=6, max_length=6)] | None = None
    dropout: Fraction = 0.0


MOBILENET = Family(
    name="mobilenet",
    package=__package__,
    spaces=(SPACE,),
    genotype=MobileGenotype,
    supernet="supernet:MobileSupernet",
    network="network:build_network",
    features=frozenset({"flops", "precision", "rematerialize"}),
    section="mobile",
    options=MobileConfig,
)
