"""The parameter names of the authors' PyTorch networks of DARTS cells."""

import keras

from dartsminus_tf.mixed import candidates
from dartsminus_tf.ops import layers
from dartsminus_tf.spaces.darts.network import Cell, Network
from dartsminus_tf.spaces.darts.supernet import SearchCell, Supernet
from dartsminus_tf.spaces.torch_slots import Slot, linear, norm, row, stack


def slots(model: Supernet | Network) -> dict[str, Slot]:
    """Every torch name of a supernet or a derived network, and the place of its array."""
    return _supernet_slots(model) if isinstance(model, Supernet) else _network_slots(model)


def _supernet_slots(model: Supernet) -> dict[str, Slot]:
    slots = stack("stem", model.stem, first=0, norm_required=False)
    for index, cell in enumerate(model.cells):
        slots |= _search_cell(f"cells.{index}", cell)
    return slots | linear("classifier", model.classifier)


def _network_slots(model: Network) -> dict[str, Slot]:
    slots = _stem(model)
    for index, cell in enumerate(model.cells):
        slots |= _cell(f"cells.{index}", cell)
    if model.auxiliary_head is not None:
        head, prefix = model.auxiliary_head, "auxiliary_head"
        slots |= stack(f"{prefix}.features", head.reduce, first=2)
        slots[f"{prefix}.features.5.weight"] = Slot(head.kernel, "conv")
        slots |= norm(f"{prefix}.features.6", head.norm) | linear(f"{prefix}.classifier", head.classifier)
    return slots | linear("classifier", model.classifier)


def _stem(model: Network) -> dict[str, Slot]:
    if model.stem_kind == "cifar":
        return stack("stem", model.stem, first=0)
    first, second = model.stem.stem0
    return stack("stem0", first, first=0) | stack("stem0", second, first=3) | stack("stem1", model.stem.stem1, first=1)


def _reduce(prefix: str, kernels: keras.Variable, index: tuple[int, ...] = ()) -> dict[str, Slot]:
    return {f"{prefix}.conv_{half + 1}.weight": Slot(kernels, "reduce", (*index, half)) for half in (0, 1)}


def _preprocess(prefix: str, layer, norm_required: bool) -> dict[str, Slot]:
    if isinstance(layer, layers.FactorizedReduce):
        return _reduce(prefix, layer.kernels) | norm(f"{prefix}.bn", layer.norm, norm_required)
    return stack(f"{prefix}.op", layer, 1, norm_required)


def _cell(prefix: str, cell: Cell) -> dict[str, Slot]:
    slots = _preprocess(f"{prefix}.preprocess0", cell.preprocess0, True)
    slots |= _preprocess(f"{prefix}.preprocess1", cell.preprocess1, True)
    for index, operation in enumerate(cell.operations):
        name = f"{prefix}._ops.{index}"
        if isinstance(operation, layers.FactorizedReduce):
            slots |= _preprocess(name, operation, True)
        elif isinstance(operation, layers.Stack):
            slots |= stack(f"{name}.op", operation, 1)
        elif isinstance(operation, layers.SeparableConv):
            for stage, layer in enumerate(operation.norms):
                number = 4 * stage
                slots[f"{name}.op.{number + 1}.weight"] = Slot(operation.depthwise[stage], "depthwise")
                slots[f"{name}.op.{number + 2}.weight"] = Slot(operation.pointwise[stage], "conv")
                slots |= norm(f"{name}.op.{number + 3}", layer)
    return slots


def _search_cell(prefix: str, cell: SearchCell) -> dict[str, Slot]:
    slots = _preprocess(f"{prefix}.preprocess0", cell.preprocess0, False)
    slots |= _preprocess(f"{prefix}.preprocess1", cell.preprocess1, False)
    mixed = cell.graph.mixed_edges
    for edge, names in enumerate(mixed.primitives):
        for k, primitive in enumerate(names):
            slot = mixed.slots[primitive].index(edge)
            slots |= _candidate(f"{prefix}._ops.{edge}._ops.{k}", mixed.candidates[primitive], slot)
        if mixed.auxiliary is not None:
            slots |= _candidate(f"{prefix}._ops.{edge}.auxiliary_op", mixed.auxiliary, edge)
    return slots


def _candidate(prefix: str, candidate: candidates.Candidate, slot: int) -> dict[str, Slot]:
    """The arrays of one candidate on its slot-th edge."""
    bank = candidate.bank
    if isinstance(candidate, candidates.SkipCandidate) and slot in candidate.reducing:
        index = (candidate.reducing.index(slot),)
        return _reduce(prefix, candidate.kernels, index) | row(f"{prefix}.bn", bank, candidate.rows[slot])
    if isinstance(candidate, candidates.PoolCandidate):
        return row(f"{prefix}.1", bank, candidate.rows[candidate.edges[slot].source])
    if isinstance(candidate, candidates.DilatedCandidate):
        return {
            f"{prefix}.op.1.weight": Slot(candidate.depthwise, "depthwise", (slot,)),
            f"{prefix}.op.2.weight": Slot(candidate.pointwise, "conv", (slot,)),
        } | row(f"{prefix}.op.3", bank, candidate.rows[slot])
    slots = {}
    if isinstance(candidate, candidates.SeparableCandidate):
        for stage in (0, 1):
            number = 4 * stage
            slots[f"{prefix}.op.{number + 1}.weight"] = Slot(candidate.depthwise[stage], "depthwise", (slot,))
            slots[f"{prefix}.op.{number + 2}.weight"] = Slot(candidate.pointwise[stage], "conv", (slot,))
            slots |= row(f"{prefix}.op.{number + 3}", bank, candidate.rows[stage][slot])
    return slots
