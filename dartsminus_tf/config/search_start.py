"""What a search's config leaves out and the network that it starts from says: its layers, and how it sees pixels."""

from collections.abc import Mapping
from typing import Any

from dartsminus_tf.foundation.errors import UsageError, require
from dartsminus_tf.pretrained.described import Described, describe, is_there, source_text
from dartsminus_tf.spaces.families import SPACES, family_of
from dartsminus_tf.spaces.family import Family
from dartsminus_tf.spaces.genotype import Genotype


def completed_search(given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, a search's settings with an `init`, with the keys that they leave out.

    Options of the supernet that its layers must have, in the section of its family, are filled in one by one, and
    `data.mean` and `data.std`. What is given stays, but options of the section must be those of the network.

    A config that is whole, such as a run directory keeps, is not looked up where its source is gone.

    Args:
        given: as YAML holds it.

    Raises:
        UsageError: where `init` names no network of the space's family, or one of other layers.
    """
    space, data, init = given.get("space"), given.get("data", {}), given["init"]
    family = family_of(space) if isinstance(space, str) and space in SPACES else None
    if family is None or family.start_section is None or not isinstance(init, str):
        return dict(given)  # refused elsewhere
    section = given.get(family.section) or {}
    is_whole = isinstance(section, Mapping) and isinstance(data, Mapping) and "mean" in data and "depths" in section
    if not isinstance(section, Mapping) or (is_whole and not is_there(source_text(init))):
        return dict(given)
    about = describe(init)
    filled = {family.section: _section(section, about, family)}
    usual = SPACES[space].defaults["channels"]
    channels = given.get("channels", usual)
    require(channels == usual, f"channels must be {usual}, or left out: the widths are those of init", channels)
    if isinstance(data, Mapping) and not {"mean", "std"} & set(data):
        filled["data"] = {**data, **about.preprocessing}
    return {**given, **filled}


def _section(given: Mapping[str, Any], about: Described, family: Family) -> dict[str, Any]:
    if family_of(Genotype.from_dict(about.network["genotype"])) is not family:
        raise UsageError(f"init must be a network of family {family.name}. Received: {about.text!r}")
    implied = family.start_section(about.network)
    for name, value in implied.items():
        own = given.get(name, value)
        own = tuple(own) if isinstance(own, list) else own
        require(own == value, f"{family.section}.{name} must be {value}, as that of init, or left out", own)
    return {**given, **implied}
