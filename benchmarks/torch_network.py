"""The peer of the training benchmark: a plain PyTorch derived network on CIFAR's stem, and its training step.

Written from the method's description, as such code is usually written: a module an operation, affine batch norms,
drop path on every operation but the identity, an auxiliary head after cell 2L//3.
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch_operations import operation, preprocess

CLASSES = 10
DROP_PATH = 0.2


def drop_path(x):
    keep = 1.0 - DROP_PATH
    return x / keep * torch.empty(x.shape[0], 1, 1, 1).bernoulli_(keep)


class Cell(nn.Module):
    def __init__(self, entries, concat, c_older, c_newer, c, reduction, reduction_before):
        super().__init__()
        self.concat, self.sources = concat, [source for _, source in entries]
        self.preprocess0, self.preprocess1 = preprocess(c_older, c_newer, c, reduction_before, affine=True)
        self.operations = nn.ModuleList(
            operation(name, c, 2 if reduction and source < 2 else 1, affine=True) for name, source in entries
        )

    def forward(self, s0, s1):
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for first in range(0, len(self.operations), 2):
            states.append(self.apply_one(first, states) + self.apply_one(first + 1, states))
        return torch.cat([states[index] for index in self.concat], dim=1)

    def apply_one(self, index, states):
        y = self.operations[index](states[self.sources[index]])
        return y if isinstance(self.operations[index], nn.Identity) else drop_path(y)


def auxiliary_head(c):
    return nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(5, stride=3),
        nn.Conv2d(c, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, 2, bias=False),
        nn.BatchNorm2d(768),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, CLASSES),
    )


class Network(nn.Module):
    def __init__(self, genotype, c, layers):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * c, 3, padding=1, bias=False), nn.BatchNorm2d(3 * c))
        cells, older, newer, reduction_before = [], 3 * c, 3 * c, False
        self.auxiliary_cell = 2 * layers // 3
        for index in range(layers):
            reduction = index in (layers // 3, 2 * layers // 3)
            c, kind = (2 * c, "reduce") if reduction else (c, "normal")
            concat = genotype[f"{kind}_concat"]
            cells.append(Cell(genotype[kind], concat, older, newer, c, reduction, reduction_before))
            older, newer, reduction_before = newer, len(concat) * c, reduction
            if index == self.auxiliary_cell:
                self.auxiliary = auxiliary_head(newer)
        self.cells = nn.ModuleList(cells)
        self.classifier = nn.Linear(newer, CLASSES)

    def forward(self, x):
        s0 = s1 = self.stem(x)
        for index, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1)
            if index == self.auxiliary_cell:
                auxiliary = self.auxiliary(s1)
        return self.classifier(s1.mean(dim=(2, 3))), auxiliary


def published(name):
    """A published genotype as a dict, read without TensorFlow: its memory is not the peer's."""
    file = Path(__file__).resolve().parents[1] / "dartsminus_tf" / "spaces" / "darts" / "published.json"
    return json.loads(file.read_text(encoding="utf-8"))[name]["genotype"]


class Training:
    """The training step on random data."""

    def __init__(self, genotype, channels, layers, batch):
        torch.manual_seed(0)
        self.net = Network(genotype, channels, layers)
        self.sgd = torch.optim.SGD(self.net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
        self.x, self.y = torch.randn(batch, 3, 32, 32), torch.randint(0, CLASSES, (batch,))

    def step(self) -> float:
        """One step; returns the loss."""
        self.sgd.zero_grad()
        logits, auxiliary = self.net(self.x)
        loss = functional.cross_entropy(logits, self.y) + 0.4 * functional.cross_entropy(auxiliary, self.y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.sgd.step()
        return float(loss)
