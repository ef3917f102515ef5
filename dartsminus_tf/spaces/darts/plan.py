"""Where the cells of a DARTS network stand: widths, reductions and input widths, for supernets and derived networks."""

from typing import NamedTuple

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.darts.space import CHANNEL_MULTIPLE


class CellPlan(NamedTuple):
    """One cell.

    Attributes:
        channels: width of every state inside the cell.
        input_channels: widths of the outputs of the two cells before.
        reduction: whether the cell halves the image and uses the reduction cell's genotype.
        halve_input0: whether the cell before was a reduction, so that the older input is twice as large.
    """

    channels: int
    input_channels: tuple[int, int]
    reduction: bool
    halve_input0: bool


def reduction_layers(layers: int) -> tuple[int, int]:
    """The indices of the two reduction cells."""
    return layers // 3, 2 * layers // 3


def plan_cells(
    channels: int, layers: int, stem_channels: int, concat: dict[str, int], halve_first: bool = False
) -> list[CellPlan]:
    """Lay out `layers` cells.

    Args:
        channels: width of the first cell; doubled by each reduction.
        layers: at least 3, so that there are two reductions and neither comes first.
        stem_channels: width of the stem's output.
        concat: {"normal": n, "reduce": n}, the number of states that each kind of cell concatenates.
        halve_first: the older input of the first cell is twice as large (ImageNet stem).
    """
    if layers < 3:
        raise UsageError(f"layers must be at least 3: two of them are reductions. Received: {layers}")
    if channels < 1 or channels % CHANNEL_MULTIPLE:
        raise UsageError(f"channels must be a multiple of {CHANNEL_MULTIPLE}. Received: {channels}")
    older, newer, halve, plans = stem_channels, stem_channels, halve_first, []
    for index in range(layers):
        reduction = index in reduction_layers(layers)
        channels *= 2 if reduction else 1
        plans.append(CellPlan(channels, (older, newer), reduction, halve))
        older, newer, halve = newer, channels * concat["reduce" if reduction else "normal"], reduction
    return plans


def check_image_size(input_shape, cell_stride: int) -> None:
    """Raise UsageError where a FactorizedReduce would meet an odd size.

    Args:
        input_shape: (N, H, W, C); an unknown size passes.
        cell_stride: stride of the first cells: 1 after the CIFAR stem, 8 after the ImageNet stem; two reductions
            follow.
    """
    multiple = 4 * cell_stride
    for axis, size in (("height", input_shape[1]), ("width", input_shape[2])):
        if size is not None and (size % multiple or size <= 0):
            raise UsageError(
                f"The image {axis} must be a multiple of {multiple}: FactorizedReduce needs even sizes. "
                f"Received: {size}"
            )
