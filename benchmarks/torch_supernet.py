"""The peer of the step benchmark: a plain PyTorch supernet of space S0 with the auxiliary skip, and its search step.

Written from the method's description, in the way such code is usually written: a module an operation, a loop over
edges, one `backward` of the whole loss for each of the two optimizers.
"""

import torch
from torch import nn
from torch.nn import functional
from torch_operations import operation, preprocess

PRIMITIVES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NODES = 4


class MixedOp(nn.Module):
    def __init__(self, c, stride):
        super().__init__()
        self.operations = nn.ModuleList(operation(name, c, stride, affine=False) for name in PRIMITIVES)
        self.auxiliary = operation("skip_connect", c, stride, affine=False)

    def forward(self, x, weights, beta):
        return sum(w * op(x) for w, op in zip(weights, self.operations, strict=True)) + beta * self.auxiliary(x)


class Cell(nn.Module):
    def __init__(self, c_older, c_newer, c, reduction, reduction_before):
        super().__init__()
        self.reduction = reduction
        self.preprocess0, self.preprocess1 = preprocess(c_older, c_newer, c, reduction_before, affine=False)
        self.edges = nn.ModuleList(
            MixedOp(c, 2 if reduction and source < 2 else 1) for node in range(NODES) for source in range(node + 2)
        )

    def forward(self, s0, s1, weights, beta):
        states, first = [self.preprocess0(s0), self.preprocess1(s1)], 0
        for _ in range(NODES):
            incoming = range(len(states))
            states.append(sum(self.edges[first + j](states[j], weights[first + j], beta) for j in incoming))
            first += len(incoming)
        return torch.cat(states[2:], dim=1)


class Supernet(nn.Module):
    def __init__(self, c, layers, num_classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * c, 3, padding=1, bias=False), nn.BatchNorm2d(3 * c))
        cells, older, newer, reduction_before = [], 3 * c, 3 * c, False
        for index in range(layers):
            reduction = index in (layers // 3, 2 * layers // 3)
            c = 2 * c if reduction else c
            cells.append(Cell(older, newer, c, reduction, reduction_before))
            older, newer, reduction_before = newer, NODES * c, reduction
        self.cells = nn.ModuleList(cells)
        self.classifier = nn.Linear(newer, num_classes)
        self.alphas = [nn.Parameter(1e-3 * torch.randn(14, len(PRIMITIVES))) for _ in range(2)]
        self.beta = 1.0

    def forward(self, x):
        s0 = s1 = self.stem(x)
        normal, reduce = (torch.softmax(alpha, dim=-1) for alpha in self.alphas)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, reduce if cell.reduction else normal, self.beta)
        return self.classifier(s1.mean(dim=(2, 3)))


class Search:
    """The first-order search step on random data."""

    def __init__(self, channels, layers, batch):
        torch.manual_seed(0)
        self.net = Supernet(channels, layers)
        self.sgd = torch.optim.SGD(self.net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
        self.adam = torch.optim.Adam(self.net.alphas, 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
        self.batches = [(torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))) for _ in range(2)]

    def step(self) -> float:
        """One architecture step and one weight step; returns the training loss."""
        (x, y), (x_valid, y_valid) = self.batches
        self.adam.zero_grad()
        functional.cross_entropy(self.net(x_valid), y_valid).backward()
        self.adam.step()
        self.sgd.zero_grad()
        loss = functional.cross_entropy(self.net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.sgd.step()
        return float(loss)
