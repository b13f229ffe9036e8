"""What the GFIM of every layer takes, known before the first sweep, held against the memory that is free."""

import logging
from collections.abc import Mapping

import torch

from hyperinf.runtime.memory import GIB, free_bytes

_log = logging.getLogger(__name__)
COPIES = 4
"""Of the largest layer's matrix that its inversion works with, besides the matrices themselves."""
WORTH_SAYING = GIB


def gfim_bytes(layers: Mapping[str, tuple[int, int]]) -> int:
    """Count the bytes of all layers' ``d x d`` matrices in float64, and of the inversion of the largest.

    Args:
        layers: ``{layer name: (r, d)}``.
    """
    squares = [d * d for _, d in layers.values()]
    return 8 * (sum(squares) + COPIES * max(squares, default=0))


def check_gfim_fits(
    layers: Mapping[str, tuple[int, int]], device: torch.device | str = "cpu", what: str = "GFIM"
) -> None:
    """Refuse layers whose GFIM does not fit into the memory that is free, and say what it takes where it is much.

    Args:
        layers: ``{layer name: (r, d)}``.
        device: where the gradients are, and so the matrices.
        what: another matrix of that size, for the message.

    Raises:
        ValueError: names the largest layer, what is needed and what is free.
    """
    needed, free = gfim_bytes(layers), free_bytes(device)
    name = max(layers, key=lambda layer: layers[layer][1])
    rank, columns = layers[name]
    if free is not None and needed > free:
        smaller = ", or take its smaller axis with gfim_axis='smaller'" if what == "GFIM" else ""
        raise ValueError(
            f"layer {name!r}: got a gradient of {rank:,} x {columns:,}, whose {columns:,} x {columns:,} {what} takes,"
            f" with those of the other layers and an inversion, {needed / GIB:.1f} GiB, expected at most the"
            f" {free / GIB:.1f} GiB that are free; leave it out with layers{smaller}"
        )
    if needed > WORTH_SAYING:
        _log.warning("the %s of %d layers takes %.1f GiB with its inversion", what, len(layers), needed / GIB)
