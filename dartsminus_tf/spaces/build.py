"""The one way to make a supernet or a derived network: the family's record says who builds it."""

from dartsminus_tf.foundation.errors import UsageError, require
from dartsminus_tf.spaces.families import family_of, get_space
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.network import DerivedNetwork
from dartsminus_tf.spaces.space import Space
from dartsminus_tf.spaces.supernet import SearchNetwork, SupernetOptions


def build_supernet(
    space: Space | str,
    channels: int | None = None,
    layers: int | None = None,
    num_classes: int = 10,
    auxiliary: str | None = "skip",
    partial_channels: int = 1,
    edge_normalization: bool = False,
    skip_dropout: float = 0.0,
    rematerialize: bool = False,
    **own,
) -> SearchNetwork:
    """The supernet of `space`: `net(x, training=...)` maps images [N, H, W, 3] to logits [N, num_classes].

    Args:
        space: a space or its name.
        channels: width of the first cells' states, or of the stem; by default the paper's for the space.
        layers: number of cells, cells of a stage, or searched layers, as the family counts; by default the paper's for
            the space.
        num_classes: of the data set.
        auxiliary, partial_channels, edge_normalization, skip_dropout, rematerialize: see
            `spaces.supernet.SupernetOptions`.
        own: options of the family's supernets alone: those of its record's `search_options`.

    Raises:
        UsageError: on an unknown space, or options that its family lacks.
    """
    space = get_space(space) if isinstance(space, str) else space
    family = family_of(space)
    options = SupernetOptions(auxiliary, partial_channels, edge_normalization, skip_dropout, rematerialize)
    known = family.search_options.model_fields if family.search_options else {}
    unknown = sorted(set(own) - set(known))
    require(not unknown, f"Supernets of space {space.name} have no such option", ", ".join(unknown))
    sizes = {**space.defaults, **family.implied(own)}
    channels = sizes["channels"] if channels is None else channels
    layers = sizes["layers"] if layers is None else layers
    family.check(space.name, vars(options) | {"channels": channels})
    return family.load(family.supernet)(space, channels, layers, num_classes, options, **own)


def build_network(
    genotype: Genotype,
    channels: int | None = None,
    layers: int | None = None,
    num_classes: int = 10,
    **options,
) -> DerivedNetwork:
    """The network of `genotype`, built on its first call.

    Args:
        genotype: of any family.
        channels: width of the first cells; by default the paper's for the family.
        layers: number of cells, or cells of a stage; by default the paper's for the family.
        num_classes: of the data set.
        options: those of the family's own `build_network`, in `spaces/<family>/network.py`.

    Raises:
        UsageError: on options that make no network, or that the family lacks.
    """
    if not isinstance(genotype, Genotype):
        raise UsageError(f"genotype must be a Genotype (see Genotype.from_json). Received: {type(genotype).__name__}")
    family = family_of(genotype)
    sizes = {"channels": channels, "layers": layers}
    given = {name: value for name, value in sizes.items() if value is not None}
    return family.load(family.network)(genotype, num_classes=num_classes, **given, **options)


def network_from_config(config: dict) -> DerivedNetwork:
    """The network of any family whose `get_config` gave `config`."""
    config = dict(config)
    return build_network(Genotype.from_dict(config.pop("genotype")), **config)
