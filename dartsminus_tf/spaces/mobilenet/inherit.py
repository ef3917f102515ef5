"""Weights from one mobile network or supernet to another of the same depths and widths.

Every block, and every candidate of a supernet, takes its weights from the block that stands in its layer of the source,
cut as `arrays` says. A block or a candidate in whose layer the source has a skip starts at random: there is nothing to
take.
"""

import keras
import numpy as np

from dartsminus_tf.foundation.errors import require
from dartsminus_tf.spaces.mobilenet.arrays import Block, Gate, Norm, fitted
from dartsminus_tf.spaces.mobilenet.blocks import InvertedResidual
from dartsminus_tf.spaces.mobilenet.genotype import BLOCKS, EXPANSIONS, KERNELS, MobileGenotype, block_of
from dartsminus_tf.spaces.mobilenet.mixed import MobileLayer
from dartsminus_tf.spaces.mobilenet.network import MobileNetwork, build_network
from dartsminus_tf.spaces.mobilenet.plan import described
from dartsminus_tf.spaces.mobilenet.supernet import MobileSupernet
from dartsminus_tf.spaces.network import Taken


def inherit(source: MobileNetwork, target: MobileNetwork) -> Taken:
    """Give the built `target` the weights of `source`.

    Raises:
        UsageError: where they differ in more than genotype, number of classes and rates of dropping.
    """
    _require_same(source, target)
    for name in ("activation", "squeeze_excitation"):
        _require_equal(name, source.get_config()[name], target.get_config()[name])
    transfer = _Transfer(source, target)
    for block, own in zip(source.blocks, target.blocks, strict=True):
        if own is not None and block is None:
            transfer.left += [variable.path for variable in own.variables]
        elif own is not None:
            write_block(own, fitted(read_block(block), read_block(own), source.activation))
            transfer.taken += len(own.variables)
    return transfer.ended()


def inherit_supernet(source: MobileNetwork, supernet: MobileSupernet) -> Taken:
    """Give the built `supernet`, whose norms must be affine, the weights of `source`; alpha and beta stay as they are.

    Returns:
        The number of the source's tensors that were taken; `left` names the layers whose candidates stay random.

    Raises:
        UsageError: where they differ in more than the number of classes, or the source has what supernets lack.
    """
    require(supernet.affine, "A supernet that takes weights has affine norms", "affine=False")
    _require_same(source, supernet)
    config = source.get_config()
    _require_equal("activation", "relu6", config["activation"])
    _require_equal("squeeze_excitation", False, config["squeeze_excitation"])
    transfer = _Transfer(source, supernet)
    for block, layer in zip(source.blocks, supernet.layers_searched, strict=True):
        if block is None:
            transfer.left.append(layer.name)
            continue
        own, candidates = read_block(block), Candidates(layer)
        for name in BLOCKS:
            candidates.write(name, fitted(own, candidates.block(name), source.activation))
        candidates.store()
        transfer.taken += len(block.variables)
    return transfer.ended()


def derive(supernet: MobileSupernet, genotype: MobileGenotype) -> MobileNetwork:
    """The network of `genotype` with the supernet's weights, built: what the supernet computes where alpha is sure of
    `genotype` and beta is 0. Norms of an affine-free supernet become affine ones of scale 1 and offset 0.

    Raises:
        UsageError: where the genotype has other depths.
    """
    sizes = described(supernet.plan, supernet.convention)
    _require_equal("depths of the genotype", sizes.pop("depths"), genotype.depths)
    network = build_network(genotype, num_classes=supernet.num_classes, **sizes)
    network.build((1, *supernet.image_size, 3))
    _Transfer(supernet, network)
    for name, layer, block in zip(genotype.operations["layers"], supernet.layers_searched, network.blocks, strict=True):
        if block is not None:
            write_block(block, Candidates(layer).block(name))
    return network


class _Transfer:
    """What was taken; it begins with stem, head, and the classifier where the classes are as many."""

    def __init__(self, source: keras.Model, target: keras.Model):
        self.taken, self.left = 0, []
        pairs = [(source.stem, target.stem), (source.head.conv, target.head.conv)]
        classifiers = (source.head.classifier, target.head.classifier)
        if source.num_classes == target.num_classes:
            pairs.append(classifiers)
        else:
            self.left = [variable.path for variable in classifiers[1].variables]
        for layers in pairs:
            for theirs, own in zip(*(layer.variables for layer in layers), strict=True):
                own.assign(theirs.numpy())
            self.taken += len(layers[0].variables)

    def ended(self) -> Taken:
        return Taken(self.taken, tuple(self.left))


def read_block(layer: InvertedResidual) -> Block:
    """The arrays of a built block."""
    units = (layer.expand, layer.depthwise, layer.project)
    expand, depthwise, project = (unit.conv.kernel.numpy() for unit in units)
    norms = tuple(Norm(*(variable.numpy() for variable in _norm(unit))) for unit in units)
    gate = layer.excitation and Gate(*(variable.numpy() for variable in layer.excitation.variables))
    return Block(expand[0, 0], depthwise[..., 0], project[0, 0], norms, gate)


def write_block(layer: InvertedResidual, block: Block) -> None:
    """Set all variables of a built block."""
    units = (layer.expand, layer.depthwise, layer.project)
    kernels = (block.expand[None, None], block.depthwise[..., None], block.project[None, None])
    for unit, kernel, norm in zip(units, kernels, block.norms, strict=True):
        unit.conv.kernel.assign(kernel)
        for variable, value in zip(_norm(unit), norm, strict=True):
            variable.assign(value)
    for variable, value in zip(layer.excitation.variables if layer.excitation else (), block.gate or (), strict=True):
        variable.assign(value)


def _norm(unit) -> tuple[keras.Variable, ...]:
    return unit.norm.gamma, unit.norm.beta, unit.norm.moving_mean, unit.norm.moving_variance


class Candidates:
    """The inverted residuals of a built layer of a supernet, as blocks by their names; `store` sets its variables."""

    def __init__(self, layer: MobileLayer):
        self.variables, self.width = layer.variables, layer.plan.in_channels
        self.arrays = {variable.name: variable.numpy() for variable in self.variables}
        for norms in ("middle", "output"):  # what affine-free ones do
            self.arrays.setdefault(f"{norms}_scale", np.ones_like(self.arrays[f"{norms}_mean"]))
            self.arrays.setdefault(f"{norms}_offset", np.zeros_like(self.arrays[f"{norms}_mean"]))

    def block(self, name: str) -> Block:
        """The candidate's arrays: views, which change with `write`."""
        (kernel, expansion), arrays = block_of(name), self.arrays
        group, wider = KERNELS.index(kernel), EXPANSIONS.index(expansion)
        start = sum(EXPANSIONS[:wider]) * self.width
        place = slice(start, start + expansion * self.width)
        middle = [[arrays[f"middle_{kind}"][2 * group + i, place] for kind in Norm._fields] for i in (0, 1)]
        output = [arrays[f"output_{kind}"][BLOCKS.index(name)] for kind in Norm._fields]
        return Block(
            arrays["expand"][group][:, place],
            arrays[f"depthwise_{kernel}"][:, :, place, 0],
            arrays[f"project_{expansion}"][group],
            (Norm(*middle[0]), Norm(*middle[1]), Norm(*output)),
        )

    def write(self, name: str, block: Block) -> None:
        """Set the candidate's arrays."""
        own = self.block(name)
        for view, value in zip((*own[:3], *sum(own.norms, ())), (*block[:3], *sum(block.norms, ())), strict=True):
            view[...] = value

    def store(self) -> None:
        """Give the layer's variables what was written."""
        for variable in self.variables:
            variable.assign(self.arrays[variable.name])


def _require_same(source, target) -> None:
    """UsageError where two networks or supernets do not have the same layers."""
    theirs, own = (described(model.plan, model.convention) for model in (source, target))
    for name, value in theirs.items():
        _require_equal(f"mobile.{name}", value, own[name])


def _require_equal(name: str, theirs, own) -> None:
    require(own == theirs, f"{name} must be {theirs}, as in the network that the weights come from", own)
