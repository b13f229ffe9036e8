import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hyperinf.linalg import hyperpower_inverse

# Products to a relative error of 1e-6: Chebyshev scaling, and plain order 2 from its best start.
BUDGET = {1e1: (10, 12), 1e2: (14, 20), 1e3: (16, 26), 1e4: (20, 32), 1e5: (24, 40), 1e6: (26, 46)}
SHAPES = ["geometric", "uniform", "two clusters", "one small", "three large"]


@pytest.mark.parametrize("known", [(), ("lmin",), ("lmin", "lmax")])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("condition", BUDGET)
def test_chebyshev_meets_the_budget_of_products(rotated, spectrum, relative, condition, shape, known):
    a, inverse = rotated(spectrum(shape, 64, condition))
    bounds = {name: {"lmin": 1 / condition, "lmax": 1.0}[name] for name in known}
    result = hyperpower_inverse(a, tol=1e-6, **bounds)
    assert relative(result.inverse, inverse) < 1e-6
    assert result.matmuls <= BUDGET[condition][0]


@pytest.mark.parametrize("condition", BUDGET)
def test_plain_schulz_needs_the_products_known_for_its_best_start(rotated, spectrum, condition):
    a, _ = rotated(spectrum("geometric", 64, condition))
    result = hyperpower_inverse(a, method="schulz", tol=1e-6, lmin=1 / condition, lmax=1.0)
    assert BUDGET[condition][1] - 2 <= result.matmuls <= BUDGET[condition][1] + 1


@pytest.mark.parametrize(("condition", "plateau"), [(1e1, 5e-6), (1e2, 2e-5), (1e3, 2e-5), (1e4, 1e-4), (1e5, 1e-3)])
@pytest.mark.filterwarnings("ignore::hyperinf.linalg.ConvergenceWarning")
def test_float32_reaches_its_plateau_with_at_most_the_products_of_finishing_in_float64_more(
    rotated, spectrum, relative, condition, plateau
):
    a = rotated(spectrum("geometric", 64, condition))[0].float()
    result = hyperpower_inverse(a, tol=1e-4 if condition < 1e3 else 1e-3, on_fail="warn")
    assert relative(result.inverse, torch.linalg.inv(a.double())) < plateau
    assert result.matmuls <= BUDGET[condition][0] + 6


@pytest.mark.parametrize("condition", [1e2, 1e4])
def test_a_tenfold_over_estimate_of_the_largest_eigenvalue_costs_four_products(rotated, spectrum, condition):
    a, _ = rotated(spectrum("geometric", 64, condition))
    close = hyperpower_inverse(a, tol=1e-6, lmin=1 / condition, lmax=1.0)
    far = hyperpower_inverse(a, tol=1e-6, lmin=1 / condition, lmax=10.0)
    assert 0 < far.matmuls - close.matmuls <= 4


def test_bounds_by_a_damping_and_a_norm_alone_suffice_for_a_gradient_like_matrix(relative):
    generator = torch.Generator().manual_seed(3)
    samples = torch.randn(60, 200, generator=generator, dtype=torch.float64)
    a = samples.T @ samples / 60 + 0.01 * torch.eye(200, dtype=torch.float64)
    result = hyperpower_inverse(a, tol=1e-6, lmin=0.01)
    assert relative(result.inverse, torch.linalg.inv(a)) < 1e-6
    assert result.matmuls <= 17


class CountProducts(TorchDispatchMode):
    """Counts what reaches the kernels, whatever the code says of itself."""

    def __init__(self, d):
        super().__init__()
        self.d, self.matmuls, self.matvecs = d, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.bmm.default, torch.ops.aten.mm.default, torch.ops.aten.mv.default):
            left, right = args[0].shape[-2:], args[1].shape[-2:]
            if left == (self.d, self.d):
                self.matmuls += right == (self.d, self.d)
                self.matvecs += right[-1] == 1 or len(args[1].shape) == 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("order", range(2, 8))
@pytest.mark.parametrize("method", ["chebyshev", "schulz"])
def test_products_are_counted_as_they_are_made(rotated, spectrum, dtype, order, method):
    a = torch.stack([rotated(spectrum("geometric", 64, condition))[0].to(dtype) for condition in (10.0, 1e3)])
    with CountProducts(64) as count:
        result = hyperpower_inverse(a, method=method, order=order)
    assert result.matmuls == count.matmuls
    assert result.matvecs == count.matvecs


def test_products_of_a_failed_start_are_counted_too(rotated, spectrum):
    a, _ = rotated(spectrum("geometric", 64, 1e3))
    with CountProducts(64) as count:
        result = hyperpower_inverse(a, lmin=1e-3, lmax=0.95)
    assert result.converged
    assert result.matmuls == count.matmuls
    assert result.matmuls > hyperpower_inverse(a, lmin=1e-3, lmax=1.0).matmuls
