"""Networks with the weights that a search's supernet has learned for them."""

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.states import read_state
from dartsminus_tf.pretrained.own.searched import FinishedSearch
from dartsminus_tf.spaces.build import build_supernet
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.network import DerivedNetwork
from dartsminus_tf.spaces.supernet import SearchNetwork


def supernet_network(search: FinishedSearch, genotype: Genotype | None = None) -> DerivedNetwork:
    """The network of `genotype` with the weights of the search's newest state, built: what the supernet computes where
    alpha is sure of the genotype and beta is 0.

    Args:
        search: finished.
        genotype: any of its space, of its depths; None for the one that it found.

    Raises:
        UsageError: where the state is damaged or of another model, or the genotype of another space.
    """
    genotype = Genotype.from_dict(search.result["genotype"]) if genotype is None else genotype
    if not isinstance(genotype, search.family.genotype):
        raise UsageError(f"The search in {search.path} has weights for its own space. Received: {genotype.short}")
    network = search.family.load(search.family.derive)(restored_supernet(search), genotype)
    network.preprocessing = search.preprocessing or None
    return network


def restored_supernet(search: FinishedSearch) -> SearchNetwork:
    """The supernet as the newest state has it. It holds the supernet's variables first.

    Raises:
        UsageError: where the state is damaged or of another model.
    """
    values = read_state(search.state).values
    supernet = _built(search, 1)
    odd = [value for value, variable in zip(values, supernet.variables, strict=False) if value.shape != variable.shape]
    if odd and odd[0].shape[-1:] != (1,):  # the classifier's arrays say how many classes there are
        supernet = _built(search, odd[0].shape[-1])
    variables = supernet.variables
    if [value.shape for value in values[: len(variables)]] != [tuple(variable.shape) for variable in variables]:
        raise UsageError(f"The checkpoint belongs to another model than its config says. Received: {search.state}")
    for variable, value in zip(variables, values, strict=False):
        variable.assign(value)
    return supernet


def _built(search: FinishedSearch, num_classes: int) -> SearchNetwork:
    settings, size = search.settings, search.settings["data"]["image_size"]
    supernet = build_supernet(
        settings["space"],
        channels=settings["channels"],
        layers=settings["layers"],
        num_classes=num_classes,
        auxiliary=settings["auxiliary"] if settings["method"] == "darts-" else None,
        **search.section,
    )
    supernet.build((1, size, size, 3))
    return supernet
