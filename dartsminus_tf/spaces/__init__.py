"""Search spaces: their primitives, genotypes, supernets and derived networks, one folder a family."""

from dartsminus_tf.spaces.lookup import build_supernet, get_space

__all__ = ["build_supernet", "get_space"]
