"""The parameter names of NAS-Bench-201's PyTorch networks."""

from dartsminus_tf.mixed.graph import MixedGraph
from dartsminus_tf.ops.layers import ConvNorm
from dartsminus_tf.spaces.nasbench201.genotype import EDGES
from dartsminus_tf.spaces.nasbench201.network import BenchmarkNetwork, Cell
from dartsminus_tf.spaces.nasbench201.skeleton import ResidualBlock, Skeleton
from dartsminus_tf.spaces.nasbench201.supernet import BenchmarkSupernet, ConvCandidate
from dartsminus_tf.spaces.torch_slots import Slot, linear, norm, row, stack


def slots(model: BenchmarkSupernet | BenchmarkNetwork) -> dict[str, Slot]:
    """Every torch name of a supernet or a derived network, and the place of its array."""
    derived = isinstance(model, BenchmarkNetwork)
    return _skeleton(model.skeleton, _cell if derived else _search_cell, norm_required=derived)


def _skeleton(skeleton: Skeleton, on_cell, norm_required: bool) -> dict[str, Slot]:
    slots = stack("stem", skeleton.stem, first=0, norm_required=norm_required)
    for index, block in enumerate(skeleton.blocks):
        prefix = f"cells.{index}"
        if isinstance(block, ResidualBlock):
            slots |= stack(f"{prefix}.conv_a.op", block.conv_a, 1, norm_required)
            slots |= stack(f"{prefix}.conv_b.op", block.conv_b, 1, norm_required)
            slots[f"{prefix}.downsample.1.weight"] = Slot(block.shortcut.kernel, "conv")
        else:
            slots |= on_cell(prefix, block)
    return slots | norm("lastact.0", skeleton.head.norm, norm_required) | linear("classifier", skeleton.head.classifier)


def _search_cell(prefix: str, cell: MixedGraph) -> dict[str, Slot]:
    mixed, slots = cell.mixed_edges, {}
    for edge, names in enumerate(mixed.primitives):
        source, target = EDGES[edge]
        for k, primitive in enumerate(names):
            candidate, slot = mixed.candidates[primitive], mixed.slots[primitive].index(edge)
            if isinstance(candidate, ConvCandidate):
                name = f"{prefix}.edges.{target}<-{source}.{k}.op"
                slots[f"{name}.1.weight"] = Slot(candidate.kernel, "conv", (slot,))
                slots[f"{name}.1.bias"] = Slot(candidate.bias, "vector", (slot,))
                slots |= row(f"{name}.2", candidate.bank, candidate.rows[slot])
    return slots


def _cell(prefix: str, cell: Cell) -> dict[str, Slot]:
    slots = {}
    for index, edge in enumerate(EDGES):
        operation = cell.operations.get(edge)
        if isinstance(operation, ConvNorm):
            slots |= stack(f"{prefix}.layers.{index}.op", operation, 1)
    return slots
