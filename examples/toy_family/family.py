"""The record of the toy family. Every command reads it as it starts, so nothing here imports TensorFlow."""

from dartsminus_tf.spaces import register_family
from dartsminus_tf.spaces.family import Family
from toy_family.genotype import SPACE, ToyGenotype

TOY = Family(
    name="toy",
    package=__package__,
    spaces=(SPACE,),
    genotype=ToyGenotype,
    supernet="network:ToySupernet",
    network="network:ToyNetwork",
    features=frozenset({"partial_channels"}),
    channel_multiple=2,
)
register_family(TOY)
