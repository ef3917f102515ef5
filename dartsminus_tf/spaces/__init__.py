"""Search spaces: their primitives, genotypes, supernets and derived networks, one folder a family."""

from dartsminus_tf.foundation.config.entries import import_plugins
from dartsminus_tf.spaces.families import family_of, get_space, register_family
from dartsminus_tf.spaces.genotype import Genotype

__all__ = ["Genotype", "family_of", "get_space", "register_family"]

import_plugins()  # last: plugins import the names above
