"""The operations of the PyTorch peers, a module each, in the way such code is usually written.

The search turns the batch norms' scale and offset off (`affine=False`) and normalises after its pools.
"""

import torch
from torch import nn
from torch.nn import functional


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x.mul(0.0) if self.stride == 1 else x[:, :, :: self.stride, :: self.stride].mul(0.0)


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c_out, affine):
        super().__init__()
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(c_out, affine=affine)

    def forward(self, x):
        x = functional.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


def relu_conv_norm(c_in, c_out, affine):
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out, affine=affine))


def preprocess(c_older, c_newer, c, reduction_before, affine):
    """What a cell does to its two inputs."""
    kind = FactorizedReduce if reduction_before else relu_conv_norm
    return kind(c_older, c, affine), relu_conv_norm(c_newer, c, affine)


def separable(c, kernel, stride, dilation, affine):
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(c, c, kernel, stride, padding, dilation, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c, affine=affine),
    ]


def operation(name, c, stride, affine):
    """Primitive `name` of the DARTS space."""
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c, affine)
    if name.endswith("pool_3x3"):
        average = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        pool = nn.MaxPool2d(3, stride, 1) if name.startswith("max") else average
        return pool if affine else nn.Sequential(pool, nn.BatchNorm2d(c, affine=False))
    kernel = int(name[-1])
    if name.startswith("sep"):
        return nn.Sequential(*separable(c, kernel, stride, 1, affine), *separable(c, kernel, 1, 1, affine))
    return nn.Sequential(*separable(c, kernel, stride, 2, affine))
