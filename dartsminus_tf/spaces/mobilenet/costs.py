"""Multiply-adds of the mobile space, candidate by candidate, as `dartsminus_tf.count` finds them in a network."""

from dartsminus_tf.spaces.mobilenet.genotype import BLOCKS, PRIMITIVES, MobileGenotype, block_of
from dartsminus_tf.spaces.mobilenet.plan import LayerPlan, NetworkPlan

Size = tuple[int, int]


def halved(size: Size) -> Size:
    """The size after a layer of stride 2."""
    return -(-size[0] // 2), -(-size[1] // 2)


def block_cost(layer: LayerPlan, kernel: int, expansion: int, size: Size) -> int:
    """Of one inverted residual on an input of `size`."""
    before, middle = size[0] * size[1], layer.in_channels * expansion
    after = size if layer.stride == 1 else halved(size)
    pixels = after[0] * after[1]
    return before * layer.in_channels * middle + pixels * middle * (kernel**2 + layer.channels)


def layer_costs(plan: NetworkPlan, image_size: Size) -> dict[int, list[int]]:
    """{layer: cost of every candidate}, the skip, which costs nothing, last where there is one."""
    size, costs = halved(image_size), {}
    for index, layer in enumerate(plan.layers):
        costs[index] = [block_cost(layer, *block_of(name), size) for name in BLOCKS] + [0] * layer.has_skip
        size = halved(size) if layer.stride == 2 else size
    return costs


def surrounding_cost(plan: NetworkPlan, image_size: Size, num_classes: int) -> int:
    """Of the stem, the head and the classifier."""
    size = halved(image_size)
    stem = size[0] * size[1] * (9 * 3 * plan.stem + 9 * plan.stem + plan.stem * plan.separable)
    for layer in plan.layers:
        size = halved(size) if layer.stride == 2 else size
    return stem + size[0] * size[1] * plan.layers[-1].channels * plan.head + plan.head * num_classes


def network_cost(plan: NetworkPlan, genotype: MobileGenotype, image_size: Size, num_classes: int) -> int:
    """Of the whole network of a genotype."""
    costs = layer_costs(plan, image_size)
    chosen = (costs[index][PRIMITIVES.index(name)] for index, name in enumerate(genotype.operations["layers"]))
    return surrounding_cost(plan, image_size, num_classes) + sum(chosen)
