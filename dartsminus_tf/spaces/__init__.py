"""Search spaces: their primitives, genotypes, supernets and derived networks, one folder a family."""

from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.lookup import build_supernet, get_space
from dartsminus_tf.spaces.network import build_network

__all__ = ["Genotype", "build_network", "build_supernet", "get_space"]
