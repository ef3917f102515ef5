"""The record of the DARTS cells: S0, the space of the paper, and S1 to S4 of RobustDARTS."""

from dartsminus_tf.spaces.darts.genotype import CellGenotype
from dartsminus_tf.spaces.darts.space import CHANNEL_MULTIPLE, SPACES
from dartsminus_tf.spaces.family import Family

DARTS = Family(
    name="darts",
    package=__package__,
    spaces=SPACES,
    genotype=CellGenotype,
    supernet="supernet:Supernet",
    network="network:build_network",
    features=frozenset(
        {"conv1", "partial_channels", "edge_normalization", "skip_dropout", "progressive", "rematerialize"}
    ),
    channel_multiple=CHANNEL_MULTIPLE,
    torch_slots="torch_names:slots",
    derive_capped="derive:derive_capped",
    published="published.json",
)
