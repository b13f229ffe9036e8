"""Random gradients of layers that are wide, even and narrow against their rows, and how far scores are apart."""

import torch

SHAPES = {"wide": (2, 40), "even": (3, 18), "narrow": (4, 5)}
"""Of 6 samples: 12 rows of 40 columns, 18 of 18 and 24 of 5."""


def gradients(samples=6, seed=0, scale=1.0, dtype=torch.float64, shapes=SHAPES):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (torch.randn(samples, *shape, generator=generator, dtype=torch.float64) * scale).to(dtype)
        for name, shape in shapes.items()
    }


def means(target):
    return {name: g.double().mean(0) for name, g in target.items()}


def error(actual, expected):
    """The relative norm of the difference, of numbers near the ends of float64 as well."""
    unit = expected.abs().max()
    return float(((actual - expected) / unit).norm() / (expected / unit).norm())
