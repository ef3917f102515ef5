"""What a training starts from: a network with weights is read, and what of it fits is taken."""

from pathlib import Path
from typing import NamedTuple

import keras

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.output import say
from dartsminus_tf.pretrained.described import describe, is_there
from dartsminus_tf.pretrained.own.exported import load_exported
from dartsminus_tf.pretrained.own.places import places_of
from dartsminus_tf.pretrained.own.searched import finished_search
from dartsminus_tf.pretrained.own.supernets import supernet_network
from dartsminus_tf.pretrained.own.trained import load_trained
from dartsminus_tf.pretrained.published.load import from_preset
from dartsminus_tf.spaces.families import family_of
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.network import DerivedNetwork, Taken
from dartsminus_tf.spaces.supernet import SearchNetwork


class Init(NamedTuple):
    """A network to start from.

    Attributes:
        network: built, with its weights; `network.preprocessing` says what images it was trained for.
        digest: of the weights, for the run's `data.json`.
        text: what the config calls it.
    """

    network: DerivedNetwork
    digest: str
    text: str


def read_init(text: str, genotype: Genotype | None = None) -> Init:
    """The network that `text` names; see `described.KINDS`.

    Args:
        text: of the config.
        genotype: which network is meant, of a source that holds several.

    Raises:
        UsageError: where it names none, or what is there is damaged.
    """
    about = describe(text)
    return Init(READERS[about.kind](about, genotype), about.digest, about.text)


READERS = {
    "preset": lambda about, _: from_preset(about.text),
    "file": lambda about, _: from_preset(about.text),
    "run": lambda about, _: load_trained(about.text)[0],
    "export": lambda about, _: load_exported(about.text)[0],
    "search": lambda about, genotype: supernet_network(finished_search(Path(about.text)), genotype),
}


def start_from(text: str, target: DerivedNetwork) -> Taken:
    """Give `target`, a built network, what fits of the network that `text` names, and say so.

    Raises:
        UsageError: see `read_init` and `take`.
    """
    taken = take(read_init(text, target.genotype).network, target)
    say(taken.line(text))
    return taken


def start_supernet(text: str, supernet: SearchNetwork) -> Taken:
    """Give a built supernet what the network that `text` names has for it, and say so.

    Raises:
        UsageError: see `read_init`, and the family's `inherit_supernet`.
    """
    family, source = family_of(supernet.space), read_init(text).network
    if family_of(source.genotype) is not family or family.inherit_supernet is None:
        raise UsageError(f"init must be a network of space {supernet.space.name}. Received: {text!r}")
    taken = family.load(family.inherit_supernet)(source, supernet)
    say(taken.line(text))
    return taken


def init_content(text: str | None, begun: bool) -> dict[str, str]:
    """What the run's `data.json` holds of what it starts from.

    Args:
        text: of the config; None: it starts from random weights.
        begun: whether the run has a state, which holds all that was taken: the source may be gone then.

    Raises:
        UsageError: where the source is not there, or damaged.
    """
    if text is None or (begun and not is_there(text)):
        return {}
    return {"init": describe(text).digest}


def take(source: DerivedNetwork, target: DerivedNetwork) -> Taken:
    """Give `target` the tensors of `source` that stand in the same place and have the same shape; the rest stays.

    Networks of one genotype have the same places. Of other genotypes the family decides: its record's `inherit`.
    The classifier is taken where it has as many classes.

    Raises:
        UsageError: where the two have no places in common.
    """
    family = family_of(target.genotype)
    if source.genotype == target.genotype:
        return _take_places(source, target)
    if family is not family_of(source.genotype) or family.inherit is None:
        raise UsageError(
            "init gives weights to networks of its own genotype; leave out genotype to take it over. "
            f"Received: {source.genotype.short} for {target.genotype.short}"
        )
    return family.load(family.inherit)(source, target)


def _take_places(source: DerivedNetwork, target: DerivedNetwork) -> Taken:
    found, wanted = _places(source), _places(target)
    backbone = {id(variable) for variable in target.backbone_variables}
    fits = [place for place, variable in wanted.items() if place in found and found[place].shape == variable.shape]
    if not any(id(wanted[place]) in backbone for place in fits) or not _alike(source, target):
        raise UsageError(
            "init is a network of another stem, depth or width: leave out channels, layers, stem and the family's own "
            f"section to take them over. Received: {len(fits)} of {len(wanted)} tensors fit"
        )
    for place in fits:
        wanted[place].assign(found[place].numpy())
    return Taken(len(fits), tuple(place for place in wanted if place not in fits))


def _places(network: DerivedNetwork) -> dict[str, keras.Variable]:
    """{place: variable} without the rate of drop path, which a schedule sets."""
    rate = network.drop_path_rate
    return {place: variable for place, variable in places_of(network).items() if variable is not rate}


def _alike(source: DerivedNetwork, target: DerivedNetwork) -> bool:
    """Whether all layers of one backbone are in the other: then equal places are the same layers."""
    found, wanted = ({*_places_of_backbone(network)} for network in (source, target))
    return found <= wanted or wanted <= found


def _places_of_backbone(network: DerivedNetwork) -> list[str]:
    kept = {id(variable) for variable in network.backbone_variables}
    return [place for place, variable in _places(network).items() if id(variable) in kept]
