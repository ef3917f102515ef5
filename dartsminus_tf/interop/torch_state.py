"""The parameters of the authors' PyTorch networks -> our variables.

PyTorch keeps convolutions as [out, in, h, w], depthwise ones as [channels, 1, h, w] and linear layers as [out, in].
Supernet variables stack the edges of a cell, so a torch array fills one slice of a variable.
"""

from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

from dartsminus_tf.errors import UsageError
from dartsminus_tf.ops import candidates, layers
from dartsminus_tf.ops.norm import BatchNorm, NormBank
from dartsminus_tf.spaces.darts.network import Cell, Network
from dartsminus_tf.spaces.darts.supernet import SearchCell, Supernet

_TRANSPOSE = {
    "conv": (2, 3, 1, 0),
    "depthwise": (2, 3, 0, 1),
    "linear": (1, 0),
    "vector": (0,),
    "reduce": (2, 3, 1, 0),
}


class Slot(NamedTuple):
    """Where a torch array goes: `variable[index]`, after the transposition that `layout` names."""

    variable: keras.Variable
    layout: str
    index: tuple[int, ...] = ()
    required: bool = True


def load_torch_state(model: Supernet | Network, state: Mapping[str, np.ndarray]) -> None:
    """Set the variables of `model` from PyTorch arrays, strictly.

    Args:
        model: a built supernet or derived network.
        state: {torch parameter name: array}. Running statistics of a supernet may be left out (they are not part of
            the search's parameters); `num_batches_tracked` is passed over.

    Raises:
        UsageError: where an array has no place, a variable gets none, or shapes differ. Nothing is set then.
    """
    if not model.built:
        raise UsageError("Call the model once before loading, so that its variables exist. Received: an unbuilt model")
    slots = torch_slots(model)
    state = {name: np.asarray(value) for name, value in state.items() if not name.endswith("num_batches_tracked")}
    unknown = sorted(set(state) - set(slots))
    if unknown:
        raise UsageError(f"{len(unknown)} arrays have no place in this model. Received: {', '.join(unknown[:3])}")
    missing = [name for name, slot in slots.items() if slot.required and name not in state]
    if missing:
        raise UsageError(f"{len(missing)} parameters are missing from the state, such as {', '.join(missing[:3])}.")
    values: dict[int, tuple[keras.Variable, np.ndarray]] = {}
    for name, array in state.items():
        slot = slots[name]
        _, value = values.setdefault(id(slot.variable), (slot.variable, slot.variable.numpy()))
        target = value[slot.index]
        axes = _TRANSPOSE[slot.layout]
        if array.ndim != len(axes) or array.transpose(axes).reshape(-1).shape != target.reshape(-1).shape:
            raise UsageError(f"The array of '{name}' does not fit shape {target.shape}. Received: {array.shape}")
        value[slot.index] = array.transpose(axes).reshape(target.shape)
    for variable, value in values.values():
        variable.assign(value)


def torch_slots(model: Supernet | Network) -> dict[str, Slot]:
    """Every torch name of `model` and the place of its array."""
    if isinstance(model, Supernet):
        slots = _stack("stem", model.stem, first=0, norm_required=False)
        for index, cell in enumerate(model.cells):
            slots |= _search_cell(f"cells.{index}", cell)
    elif isinstance(model, Network):
        slots = _stem(model)
        for index, cell in enumerate(model.cells):
            slots |= _cell(f"cells.{index}", cell)
        if model.auxiliary_head is not None:
            head, prefix = model.auxiliary_head, "auxiliary_head"
            slots |= _stack(f"{prefix}.features", head.reduce, first=2)
            slots[f"{prefix}.features.5.weight"] = Slot(head.kernel, "conv")
            slots |= _norm(f"{prefix}.features.6", head.norm) | _linear(f"{prefix}.classifier", head.classifier)
    else:
        raise UsageError(f"PyTorch states load into supernets and derived networks. Received: {type(model).__name__}")
    return slots | _linear("classifier", model.classifier)


def _linear(prefix: str, layer: layers.Classifier) -> dict[str, Slot]:
    return {f"{prefix}.weight": Slot(layer.kernel, "linear"), f"{prefix}.bias": Slot(layer.bias, "vector")}


def _norm(prefix: str, layer: BatchNorm, required: bool = True) -> dict[str, Slot]:
    slots = {
        f"{prefix}.running_mean": Slot(layer.moving_mean, "vector", required=required),
        f"{prefix}.running_var": Slot(layer.moving_variance, "vector", required=required),
    }
    if layer.affine:
        slots |= {
            f"{prefix}.weight": Slot(layer.gamma, "vector"),
            f"{prefix}.bias": Slot(layer.beta, "vector"),
        }
    return slots


def _stem(model: Network) -> dict[str, Slot]:
    if model.stem_kind == "cifar":
        return _stack("stem", model.stem, first=0)
    first, second = model.stem.stem0
    return (
        _stack("stem0", first, first=0) | _stack("stem0", second, first=3) | _stack("stem1", model.stem.stem1, first=1)
    )


def _stack(prefix: str, layer: layers.Stack, first: int, norm_required: bool = True) -> dict[str, Slot]:
    """A sequence of convolutions and norms (and ReLUs, which have a number too), numbered from `first`."""
    slots, number = {}, first
    for part in layer.layers:
        if isinstance(part, layers.Conv):
            slots[f"{prefix}.{number}.weight"] = Slot(part.kernel, "conv")
        elif isinstance(part, BatchNorm):
            slots |= _norm(f"{prefix}.{number}", part, norm_required)
        number += 0 if part is layer.layers[0] and isinstance(part, keras.layers.ReLU) else 1
    return slots


def _reduce(prefix: str, kernels: keras.Variable, index: tuple[int, ...] = ()) -> dict[str, Slot]:
    return {f"{prefix}.conv_{half + 1}.weight": Slot(kernels, "reduce", (*index, half)) for half in (0, 1)}


def _preprocess(prefix: str, layer, norm_required: bool) -> dict[str, Slot]:
    if isinstance(layer, layers.FactorizedReduce):
        return _reduce(prefix, layer.kernels) | _norm(f"{prefix}.bn", layer.norm, norm_required)
    return _stack(f"{prefix}.op", layer, 1, norm_required)


def _cell(prefix: str, cell: Cell) -> dict[str, Slot]:
    slots = _preprocess(f"{prefix}.preprocess0", cell.preprocess0, True)
    slots |= _preprocess(f"{prefix}.preprocess1", cell.preprocess1, True)
    for index, operation in enumerate(cell.operations):
        name = f"{prefix}._ops.{index}"
        if isinstance(operation, layers.FactorizedReduce):
            slots |= _preprocess(name, operation, True)
        elif isinstance(operation, layers.Stack):
            slots |= _stack(f"{name}.op", operation, 1)
        elif isinstance(operation, layers.SeparableConv):
            for stage, norm in enumerate(operation.norms):
                number = 4 * stage
                slots[f"{name}.op.{number + 1}.weight"] = Slot(operation.depthwise[stage], "depthwise")
                slots[f"{name}.op.{number + 2}.weight"] = Slot(operation.pointwise[stage], "conv")
                slots |= _norm(f"{name}.op.{number + 3}", norm)
    return slots


def _search_cell(prefix: str, cell: SearchCell) -> dict[str, Slot]:
    slots = _preprocess(f"{prefix}.preprocess0", cell.preprocess0, False)
    slots |= _preprocess(f"{prefix}.preprocess1", cell.preprocess1, False)
    mixed = cell.mixed_edges
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
        return _reduce(prefix, candidate.kernels, index) | _row(f"{prefix}.bn", bank, candidate.rows[slot])
    if isinstance(candidate, candidates.PoolCandidate):
        return _row(f"{prefix}.1", bank, candidate.rows[candidate.edges[slot].source])
    if isinstance(candidate, candidates.DilatedCandidate):
        return {
            f"{prefix}.op.1.weight": Slot(candidate.depthwise, "depthwise", (slot,)),
            f"{prefix}.op.2.weight": Slot(candidate.pointwise, "conv", (slot,)),
        } | _row(f"{prefix}.op.3", bank, candidate.rows[slot])
    slots = {}
    if isinstance(candidate, candidates.SeparableCandidate):
        for stage in (0, 1):
            number = 4 * stage
            slots[f"{prefix}.op.{number + 1}.weight"] = Slot(candidate.depthwise[stage], "depthwise", (slot,))
            slots[f"{prefix}.op.{number + 2}.weight"] = Slot(candidate.pointwise[stage], "conv", (slot,))
            slots |= _row(f"{prefix}.op.{number + 3}", bank, candidate.rows[stage][slot])
    return slots


def _row(prefix: str, bank: NormBank, row: int) -> dict[str, Slot]:
    return {
        f"{prefix}.running_mean": Slot(bank.moving_mean, "vector", (row,), required=False),
        f"{prefix}.running_var": Slot(bank.moving_variance, "vector", (row,), required=False),
    }
