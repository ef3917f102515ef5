"""The record of NAS-Bench-201, whose cells' true accuracies are known."""

from dartsminus_tf.spaces.family import Family
from dartsminus_tf.spaces.nasbench201.genotype import BenchmarkGenotype
from dartsminus_tf.spaces.nasbench201.space import SPACE

NASBENCH201 = Family(
    name="nasbench201",
    package=__package__,
    spaces=(SPACE,),
    genotype=BenchmarkGenotype,
    supernet="supernet:BenchmarkSupernet",
    network="network:build_network",
    features=frozenset({"conv1", "partial_channels", "edge_normalization", "skip_dropout", "rematerialize"}),
    torch_slots="torch_names:slots",
    truth="truth:load_table",
    aliases={"accuracy_table": "nasbench201_table"},
)
