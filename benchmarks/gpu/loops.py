"""The same scores in loops over layers and samples, the form in which the methods were published.

Written from the formulas: one sample's gradient of one layer at a time, in float32; HyperINF with thirty fixed steps
from ``5e-5 I``, LiSSA with ten steps and no scaling. Their times count here, not their scores.
"""

import torch
from torch import Tensor

from benchmarks.gpu.by_hand import DAMPING, STEPS, Gradients, Score

START, UPDATES = 5e-5, 30


def _scored(train: Gradients, products: dict[str, Tensor]) -> Tensor:
    samples = len(next(iter(train.values())))
    scores = []
    for i in range(samples):
        total = torch.zeros((), device=next(iter(train.values())).device)
        for layer, g in train.items():
            total = total - (products[layer] * g[i]).sum()
        scores.append(total)
    return torch.stack(scores)


def _means(target: Gradients) -> dict[str, Tensor]:
    return {layer: g.mean(0) for layer, g in target.items()}


def tracin(train: Gradients, target: Gradients) -> Tensor:
    """Dot products alone."""
    return _scored(train, _means(target))


def datainf(train: Gradients, target: Gradients) -> Tensor:
    """A rank-one inverse a sample."""
    products = {}
    for layer, v in _means(target).items():
        g, damping = train[layer], DAMPING * train[layer].square().mean()
        total = torch.zeros_like(v)
        for i in range(len(g)):
            scale = (v * g[i]).sum() / (damping + g[i].square().sum())
            total = total + (v - scale * g[i]) / (len(g) * damping)
        products[layer] = total
    return _scored(train, products)


def lissa(train: Gradients, target: Gradients) -> Tensor:
    """Ten products with the curvature, each a loop over the samples."""
    products = {}
    for layer, v in _means(target).items():
        g, damping = train[layer], DAMPING * train[layer].square().mean()
        x = v
        for _ in range(STEPS):
            total = torch.zeros_like(v)
            for i in range(len(g)):
                total = total + ((x * g[i]).sum() * g[i] + damping * x) / len(g)
            x = v + x - total
        products[layer] = x
    return _scored(train, products)


def hyperinf(train: Gradients, target: Gradients) -> Tensor:
    """The GFIM sample by sample, and a fixed number of updates of its inverse."""
    products = {}
    for layer, v in _means(target).items():
        g = train[layer]
        d = g.shape[2]
        identity = torch.eye(d, device=g.device)
        matrix = DAMPING * g.square().mean() * identity
        for i in range(len(g)):
            matrix = matrix + g[i].T @ g[i] / len(g)
        x = START * identity
        for _ in range(UPDATES):
            x = x @ (2 * identity - matrix @ x)
        products[layer] = v @ x
    return _scored(train, products)


LOOPS: dict[str, Score] = {
    "TracIN": tracin,
    "DataInf": datainf,
    "LiSSA": lissa,
    "HyperINF, Schulz": hyperinf,
}
