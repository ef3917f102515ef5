"""Random networks of the mobile space: what a search has to be better than."""

import numpy as np

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.mobilenet.costs import layer_costs, surrounding_cost
from dartsminus_tf.spaces.mobilenet.genotype import PRIMITIVES, MobileGenotype
from dartsminus_tf.spaces.mobilenet.plan import DEPTHS, HEAD, SEPARABLE, STEM, WIDTHS, plan_network

TOLERANCE, MOST_DRAWS = 0.02, 200_000


def draw(
    rng: np.random.Generator,
    channels: int,
    image_size: int,
    num_classes: int,
    multiply_adds: int | None = None,
    depths=None,
    widths=None,
    stem_width: int = STEM,
    separable_width: int = SEPARABLE,
    head_width: int = HEAD,
    **options,
) -> MobileGenotype:
    """A genotype drawn uniformly from all that a derivation can give, or from those of one cost.

    Args:
        rng: where the draws come from.
        channels, depths, widths, stem_width, separable_width, head_width, options: of the supernet.
        image_size, num_classes: of the network whose cost counts.
        multiply_adds: of that network, which the drawn one's are equal to within 2 per cent (both ways); None: any.

    Raises:
        UsageError: where none of that cost is found.
    """
    depths = tuple(depths or DEPTHS)
    plan = plan_network(depths, widths or WIDTHS, channels / STEM, stem_width, separable_width, head_width)
    size = (image_size, image_size)
    costs, rest = list(layer_costs(plan, size).values()), surrounding_cost(plan, size, num_classes)
    for _ in range(MOST_DRAWS):
        picks = [int(rng.integers(len(row))) for row in costs]
        cost = rest + sum(row[pick] for row, pick in zip(costs, picks, strict=True))
        if multiply_adds is None or abs(cost / multiply_adds - 1) <= TOLERANCE:
            names = iter([PRIMITIVES[pick] for pick in picks])
            return MobileGenotype(tuple(tuple(next(names) for _ in range(depth)) for depth in depths))
    raise UsageError(f"{MOST_DRAWS} draws gave no network of that cost. Received: multiply_adds {multiply_adds}")
