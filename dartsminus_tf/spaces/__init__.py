"""Search spaces: their primitives, genotypes, supernets and derived networks, one folder a family."""

from dartsminus_tf.spaces.darts.genotype import CellGenotype
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.lookup import build_supernet, get_space
from dartsminus_tf.spaces.mobilenet.genotype import MobileGenotype
from dartsminus_tf.spaces.nasbench201.genotype import BenchmarkGenotype
from dartsminus_tf.spaces.network import build_network

# A family's genotype can be read once its class is imported.
FAMILIES = (CellGenotype, BenchmarkGenotype, MobileGenotype)

__all__ = ["Genotype", "build_network", "build_supernet", "get_space"]
