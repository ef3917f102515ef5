"""All families of spaces, one line each, and how their spaces are found.

A family from elsewhere registers itself by `register_family` in a module that the environment variable
DARTSMINUS_PLUGINS names (several with commas between): `dartsminus_tf.spaces` imports it (docs/extending.md).
"""

import sys

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.darts.family import DARTS
from dartsminus_tf.spaces.family import Family
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.mobilenet.family import MOBILENET
from dartsminus_tf.spaces.nasbench201.family import NASBENCH201
from dartsminus_tf.spaces.space import Space

FAMILIES: dict[str, Family] = {}
SPACES: dict[str, Space] = {}


def register_family(family: Family) -> Family:
    """Make a family known; returns it.

    Raises:
        UsageError: where its name or that of one of its spaces is taken, or where it comes too late for the configs.
    """
    taken = [name for name in (space.name for space in family.spaces) if name in SPACES]
    if family.name in FAMILIES or taken:
        raise UsageError(f"A family or space of that name is there already. Received: {[family.name, *taken][-1]!r}")
    if (family.section or family.aliases) and "dartsminus_tf.config.train" in sys.modules:
        raise UsageError(
            "A family with a section or aliases must come before dartsminus_tf.config, which is made of them "
            f"(DARTSMINUS_PLUGINS sees to it). Received: {family.name!r}"
        )
    FAMILIES[family.name] = family
    SPACES.update({space.name: space for space in family.spaces})
    return family


def get_space(name: str) -> Space:
    """The space called `name`, such as "s0"."""
    if name not in SPACES:
        raise UsageError(f"Unknown space; known are {', '.join(SPACES)}. Received: {name!r}")
    return SPACES[name]


def family_of(what: Space | Genotype | str) -> Family:
    """The family of a space, of a space's name, or of a genotype.

    Raises:
        UsageError: where no registered family has it.
    """
    if isinstance(what, Genotype):
        found = next((family for family in FAMILIES.values() if isinstance(what, family.genotype)), None)
    else:
        found = FAMILIES.get((get_space(what) if isinstance(what, str) else what).family)
    if found is None:
        raise UsageError(f"No registered family has it (see register_family). Received: {what!r:.120}")
    return found


for _family in (DARTS, NASBENCH201, MOBILENET):
    register_family(_family)
