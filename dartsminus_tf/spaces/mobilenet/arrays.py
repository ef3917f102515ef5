"""The arrays of an inverted residual, and how they are cut to another kernel size and expansion.

A smaller kernel is the centre of the larger one, a larger one the centre with zeros around it. Every size of kernel has
its centre on the same pixel, with `padding="same"` at stride 2 too: an even image is padded by k // 2 - 1 pixels above
and to the left, an odd one by k // 2, so k and k + 2 always lie a pixel apart. A kernel in a larger one thus gives the
same output for images of all sizes.

Half of the expansion keeps the channels that matter most to the block's output, in the order they have:

    importance(c) = sd(a_c) * sum over o |P_co|

P being the projection and a_c what enters it. The sum alone is how Once-for-All (Cai et al., ICLR 2020) ranks channels;
the deviation tells apart a channel that moves from one that ReLU6 holds at a constant. What the lost channels add on
average is taken off the mean of the projection's norm:  mean_o <- mean_o - sum over lost c of E[a_c] P_co.
E and sd need no images: before its activation a_c has the offset of its norm as mean, its scale as deviation, and is
taken as normally distributed.

More channels than the source has start with a projection of zero, and else as the target has drawn them: the block
computes what it did.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DEVIATIONS = np.linspace(-6.0, 6.0, 1201)  # where the normal distribution is summed
DENSITY = np.exp(-(DEVIATIONS**2) / 2) / np.exp(-(DEVIATIONS**2) / 2).sum()


class Norm(NamedTuple):
    """Of [C] channels each."""

    scale: np.ndarray
    offset: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


class Gate(NamedTuple):
    """Squeeze-and-excitation: [M, W], [W], [W, M], [M]."""

    squeeze: np.ndarray
    squeeze_bias: np.ndarray
    excite: np.ndarray
    excite_bias: np.ndarray


class Block(NamedTuple):
    """From C to M to O channels.

    Args:
        expand, depthwise, project: kernels [C, M], [k, k, M], [M, O].
        norms: behind each of them.
        gate: before the projection, where there is one.
    """

    expand: np.ndarray
    depthwise: np.ndarray
    project: np.ndarray
    norms: tuple[Norm, Norm, Norm]
    gate: Gate | None = None


def resized(kernel: np.ndarray, size: int) -> np.ndarray:
    """`kernel` [k, k, M] as [size, size, M]: its centre, or it with zeros around it; both sizes odd."""
    margin = (size - kernel.shape[0]) // 2
    if margin < 0:
        return kernel[-margin:margin, -margin:margin]
    return np.pad(kernel, [(margin, margin), (margin, margin), (0, 0)])


def moments(norm: Norm, activation: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [M] of what leaves a norm and its activation."""
    values = np.asarray(activation(norm.offset[:, None] + np.abs(norm.scale)[:, None] * DEVIATIONS), np.float64)
    mean = values @ DENSITY
    return mean, np.sqrt(np.square(values - mean[:, None]) @ DENSITY)


def fitted(source: Block, target: Block, activation: Callable[[np.ndarray], np.ndarray]) -> Block:
    """`source` in the shapes of `target`, whose own values are taken where the source has no more channels.

    Args:
        source, target: blocks from and to the same channels, both with a gate or both without.
        activation: before the projection, an array's function.
    """
    source = source._replace(depthwise=resized(source.depthwise, target.depthwise.shape[0]))
    before, after = source.project.shape[0], target.project.shape[0]
    if after < before:
        return _halved(source, after, activation)
    return _grown(source, target) if after > before else source


def _halved(source: Block, number: int, activation) -> Block:
    mean, deviation = moments(source.norms[1], activation)
    importance = deviation * np.abs(source.project).sum(axis=1)
    order = np.argsort(-importance, kind="stable")
    kept, lost = np.sort(order[:number]), order[number:]
    last = source.norms[2]
    if source.gate is None:  # what a gate lets through on average depends on the image
        last = last._replace(mean=last.mean - mean[lost] @ source.project[lost])
    cut = _middle(lambda axis, array: np.take(array, kept, axis), source)
    return cut._replace(norms=(*cut.norms[:2], last))


def _grown(source: Block, target: Block) -> Block:
    """With the target's own channels behind those of the source."""
    number = source.project.shape[0]
    rest = _middle(lambda axis, array: np.take(array, range(number, array.shape[axis]), axis), target)
    rest = rest._replace(project=np.zeros_like(rest.project))
    if rest.gate is not None:  # the gates of the source's channels do not see the new ones
        rest = rest._replace(gate=rest.gate._replace(squeeze=np.zeros_like(rest.gate.squeeze)))
    return _middle(lambda axis, *arrays: np.concatenate(arrays, axis), source, rest)


def _middle(function: Callable[..., np.ndarray], *blocks: Block) -> Block:
    """The first block with `function(axis, *arrays)` in place of what has middle channels, along that axis."""
    first, gates = blocks[0], [block.gate for block in blocks]
    kernels = {
        name: function(axis, *(getattr(block, name) for block in blocks))
        for name, axis in {"expand": 1, "depthwise": 2, "project": 0}.items()
    }
    inner = [zip(*(block.norms[number] for block in blocks), strict=True) for number in (0, 1)]
    norms = (*(Norm(*(function(0, *values) for values in norm)) for norm in inner), first.norms[2])
    if first.gate is None:
        return first._replace(**kernels, norms=norms)
    parts = {
        name: function(axis, *(getattr(gate, name) for gate in gates))
        for name, axis in {"squeeze": 0, "excite": 1, "excite_bias": 0}.items()
    }
    return first._replace(**kernels, norms=norms, gate=first.gate._replace(**parts))
