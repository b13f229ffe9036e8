"""Influence from gradients in memory as somebody would write it in a few lines of torch: float32, layer by layer.

Formulas and names are those of the library's methods: ``g_i: [r, d]``, ``v`` the mean target gradient,
``lambda = 0.1 mean(g^2)`` of each layer, ``influence_i = -sum_l <hvp_l, g_il>``. Each function takes
``{layer: Tensor[n, r, d]}`` and ``{layer: Tensor[m, r, d]}`` and gives ``Tensor[n]``.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Gradients = Mapping[str, Tensor]
Score = Callable[[Gradients, Gradients], Tensor]
DAMPING = 0.1
STEPS, POWERS, MOST = 10, 5, 60


def _summed(train: Gradients, target: Gradients, product: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Score by ``product(g, v) -> hvp``, both flat: ``Tensor[n, r d]``, ``Tensor[r d]``; shapes by ``g.rank``."""
    return -torch.stack([g.flatten(1) @ product(g, target[layer].mean(0)).flatten() for layer, g in train.items()]).sum(
        0
    )


def tracin(train: Gradients, target: Gradients) -> Tensor:
    """``hvp = v``."""
    return _summed(train, target, lambda g, v: v)


def datainf(train: Gradients, target: Gradients) -> Tensor:
    """``hvp = 1/(n lambda) sum_i (v - <v, g_i> / (lambda + |g_i|^2) g_i)``."""

    def product(g: Tensor, v: Tensor) -> Tensor:
        flat, damping = g.flatten(1), DAMPING * g.square().mean()
        weights = (flat @ v.flatten()) / (damping + flat.square().sum(1))
        return (v.flatten() - weights @ flat / len(g)) / damping

    return _summed(train, target, product)


def lissa(train: Gradients, target: Gradients) -> Tensor:
    """``r <- v + r - (F + lambda I) r / s`` ten times, ``hvp = r / s``; s by five power iterations and a tenth more."""

    def product(g: Tensor, v: Tensor) -> Tensor:
        flat, damping = g.flatten(1), DAMPING * g.square().mean()

        def curved(x: Tensor) -> Tensor:
            return (flat @ x) @ flat / len(g) + damping * x

        x = torch.ones_like(flat[0])
        for _ in range(POWERS):
            x = curved(x / x.norm())
        scale = 1.1 * x.norm()
        r = v = v.flatten()
        for _ in range(STEPS):
            r = v + r - curved(r) / scale
        return r / scale

    return _summed(train, target, product)


def hyperinf_cholesky(train: Gradients, target: Gradients) -> Tensor:
    """``hvp = v (G + lambda I)^-1`` by a Cholesky factorisation."""

    def product(g: Tensor, v: Tensor) -> Tensor:
        matrix, _ = _damped(g)
        return torch.cholesky_solve(v.T, torch.linalg.cholesky(matrix)).T

    return _summed(train, target, product)


def hyperinf_schulz(train: Gradients, target: Gradients) -> Tensor:
    """The same by ``X <- X (2 I - A X)`` on ``A = G / lambda + I`` until ``|I - A X| <= 1e-3``."""

    def product(g: Tensor, v: Tensor) -> Tensor:
        matrix, damping = _damped(g)
        a, identity = matrix / damping, torch.eye(len(matrix), device=g.device)
        x = identity * (2 / (1 + a.norm()))
        for _ in range(MOST):
            residual = identity - a @ x
            if float(residual.norm()) <= 1e-3:
                break
            x = x + x @ residual
        return v @ x / damping

    return _summed(train, target, product)


def _damped(g: Tensor) -> tuple[Tensor, Tensor]:
    """``G + lambda I`` and lambda."""
    rows, damping = g.flatten(0, 1), DAMPING * g.square().mean()
    matrix = rows.T @ rows / len(g)
    matrix.diagonal().add_(damping)
    return matrix, damping


BY_HAND: dict[str, Score] = {
    "TracIN": tracin,
    "DataInf": datainf,
    "LiSSA": lissa,
    "HyperINF, Cholesky": hyperinf_cholesky,
    "HyperINF, Schulz": hyperinf_schulz,
}
