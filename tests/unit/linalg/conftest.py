from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def spectrum() -> Callable[..., Tensor]:
    """Eigenvalues between 1/condition and 1 of a given shape, float64."""

    def make(shape: str, d: int, condition: float) -> Tensor:
        low = 1 / condition
        if shape == "geometric":
            return low ** torch.linspace(1, 0, d, dtype=torch.float64)
        if shape == "uniform":
            return torch.linspace(low, 1, d, dtype=torch.float64)
        if shape == "two clusters":
            return torch.where(torch.arange(d) < d // 2, low, 1.0).double()
        if shape == "one small":
            return torch.where(torch.arange(d) < 1, low, 1.0).double()
        values = torch.full((d,), low, dtype=torch.float64)
        values[:3] = torch.tensor([1.0, 0.5, 0.2])
        return values

    return make


@pytest.fixture
def rotated() -> Callable[..., tuple[Tensor, Tensor]]:
    """An orthogonally rotated diagonal matrix and its inverse, both float64."""

    def make(eigenvalues: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        d = len(eigenvalues)
        generator = torch.Generator().manual_seed(seed)
        q, _ = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
        a, inverse = (q * eigenvalues) @ q.T, (q / eigenvalues) @ q.T
        return (a + a.T) / 2, (inverse + inverse.T) / 2

    return make


@pytest.fixture
def relative() -> Callable[[Tensor, Tensor], float]:
    """``||x - exact||_F / ||exact||_F`` in float64."""

    def distance(x: Tensor, exact: Tensor) -> float:
        return float(torch.linalg.norm(x.double() - exact) / torch.linalg.norm(exact))

    return distance
