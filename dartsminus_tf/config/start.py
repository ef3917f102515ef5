"""What a training's config leaves out and the network that it starts from says: its form, and how it sees pixels."""

from collections.abc import Mapping
from typing import Any

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.described import Described, describe, is_there, source_text
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.family import Family
from dartsminus_tf.spaces.find import find_genotype
from dartsminus_tf.spaces.genotype import Genotype


def completed(given: Mapping[str, Any], usual_data: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, a training's settings with an `init`, with the keys that they leave out.

    The genotype, the options of the network, drop path and whether there is an auxiliary head are those of the network
    that the training starts from; options of its section are filled in one by one. `data.mean` and `data.std` are what
    it was trained with. What is given stays.

    A config that is whole, such as a run directory keeps, is not looked up: its source may be gone.

    Args:
        given: as YAML holds it.
        usual_data: the section `data` of a config that has none.

    Raises:
        UsageError: where `init` names no network with weights.
    """
    data = given.get("data", usual_data)
    is_whole = given.get("genotype") is not None and isinstance(data, Mapping) and "mean" in data
    if not isinstance(given["init"], str) or (is_whole and not is_there(source_text(given["init"]))):
        return dict(given)
    about = describe(given["init"])
    keys = _network_keys(given, about)
    filled = {key: value for key, value in keys.items() if given.get(key) is None or isinstance(value, dict)}
    if isinstance(data, Mapping) and not {"mean", "std"} & set(data):
        filled["data"] = {**data, **about.preprocessing}
    return {**given, **filled}


def _network_keys(given: Mapping[str, Any], about: Described) -> dict[str, Any]:
    network, family = about.network, family_of(Genotype.from_dict(about.network["genotype"]))
    if _is_of_another(given.get("genotype"), family):
        return {}  # the training will say so
    keys = {
        "genotype": given.get("genotype") or network["genotype"],
        "channels": network.get("channels"),
        "layers": network.get("layers"),
        "stem": network.get("stem", family.stem),
        "drop_path": network.get("drop_path", 0.0),
    }
    if not network.get("auxiliary"):
        keys["auxiliary_weight"] = 0.0
    return keys | _section(given, network, family)


def _section(given: Mapping[str, Any], network: Mapping[str, Any], family: Family) -> dict[str, Any]:
    if not family.section or not isinstance(own := given.get(family.section) or {}, Mapping):
        return {}
    return {family.section: {key: network[key] for key in family.options.model_fields if key in network} | dict(own)}


def _is_of_another(genotype: Any, family: Family) -> bool:
    """Whether a genotype that is given is of another family."""
    if genotype is None:
        return False
    try:
        return family_of(find_genotype(genotype).genotype) is not family
    except UsageError:
        return True  # it is none, which is said elsewhere
