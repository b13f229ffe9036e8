"""Memory for a few gradients in float64 that is used again and again, and products that are symmetric."""

import torch
from torch import Tensor

# Numbers at a time. On a CPU 4 MiB in float64, in its caches: whole blocks in float64 go through memory that is mapped
# anew, which takes several times as long as the products, and fewer at a time take as long to begin. A GPU has its
# memory at hand, and takes as long to begin a product as to multiply many numbers.
NUMBERS, NUMBERS_ON_GPU = 2**19, 2**25
# For a Gram matrix, whose product takes longer than the memory, and its sum with others as long as many rows.
GRAM_NUMBERS = 2**22


def takes_many(device: torch.device) -> bool:
    """Tell whether a device has room for more products than those of one layer."""
    return device.type == "cuda"


def at_once(numbers: int, device: torch.device) -> int:
    """Count the things, of so many numbers each, to take at a time: at least 1."""
    return max(1, (NUMBERS_ON_GPU if takes_many(device) else NUMBERS) // max(1, numbers))


class Scratch:
    """Holds the last numbers that were widened, and their memory for the next ones."""

    def __init__(self) -> None:
        self._held: Tensor | None = None

    def widened(self, x: Tensor) -> Tensor:
        """Copy ``x`` to float64, to where the last ones were."""
        if self._held is None or self._held.numel() < x.numel() or self._held.device != x.device:
            self._held = torch.empty(x.numel(), dtype=torch.float64, device=x.device)
        wide = self._held[: x.numel()].view(x.shape)
        return wide.copy_(x)


def symmetric_product(rows: Tensor) -> Tensor:
    """Compute ``R^T R`` of ``Tensor[n, d]``; on a CPU one half only, as numpy's BLAS does of a matrix and its own."""
    if rows.device.type != "cpu" or rows.requires_grad:
        return rows.T @ rows
    own = rows.numpy()
    return torch.from_numpy(own.T @ own)
