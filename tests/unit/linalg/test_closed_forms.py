import math

import pytest
import torch

from hyperinf.linalg import hyperpower_inverse

METHODS = [("chebyshev", order) for order in range(2, 8)] + [("schulz", order) for order in range(2, 8)]


@pytest.mark.parametrize(("method", "order"), METHODS)
@pytest.mark.parametrize("condition", [1e1, 1e3, 1e6])
def test_a_rotated_diagonal_is_inverted_by_every_order(rotated, spectrum, relative, method, order, condition):
    a, inverse = rotated(spectrum("geometric", 40, condition))
    result = hyperpower_inverse(a, method=method, order=order, tol=1e-6)
    assert result.converged
    assert relative(result.inverse, inverse) < 1e-6


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e12, 1e300])
def test_a_diagonal_matrix_is_inverted_at_any_scale(scale):
    values = torch.tensor([3.0, 1e-4, 0.2, 7.0, 1.0], dtype=torch.float64) * scale
    result = hyperpower_inverse(torch.diag(values), tol=1e-9)
    torch.testing.assert_close(result.inverse * values, torch.eye(5, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("condition", [1e1, 1e2, 1e3, 1e4])
@pytest.mark.parametrize("d", [2, 5, 32, 300])
def test_one_small_eigenvalue_among_equal_ones_is_no_rounding_floor(d, condition, dtype):
    values = torch.ones(d, dtype=dtype)
    values[-1] = 1 / condition
    result = hyperpower_inverse(torch.diag(values))
    torch.testing.assert_close(result.inverse.diagonal() * values, torch.ones_like(values), atol=1e-3, rtol=0)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e37])
def test_float32_is_inverted_at_any_scale(rotated, spectrum, relative, scale):
    a = (rotated(spectrum("geometric", 30, 100.0))[0] * scale).float()
    assert relative(hyperpower_inverse(a).inverse, torch.linalg.inv(a.double())) < 1e-3


def test_a_condition_of_1e8_is_within_reach_of_float64(rotated, spectrum, relative):
    a, inverse = rotated(spectrum("geometric", 60, 1e8))
    result = hyperpower_inverse(a)
    assert relative(result.inverse, inverse) < 1e-3
    assert torch.linalg.norm(torch.eye(60) - a @ result.inverse) <= 1e-3


def test_a_diagonal_whose_entries_span_24_orders_of_magnitude_is_inverted():
    values = torch.logspace(-12, 12, 25, dtype=torch.float64)
    result = hyperpower_inverse(torch.diag(values))
    torch.testing.assert_close(
        result.inverse.diagonal() * values, torch.ones(25, dtype=torch.float64), atol=1e-3, rtol=0
    )


def test_one_number_and_a_multiple_of_the_identity_are_matrices_too():
    assert float(hyperpower_inverse(torch.tensor([[4.0]])).inverse) == pytest.approx(0.25, rel=1e-3)
    result = hyperpower_inverse(7 * torch.eye(30, dtype=torch.float64), tol=1e-12)
    torch.testing.assert_close(result.inverse, torch.eye(30, dtype=torch.float64) / 7, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(("a", "b", "d"), [(1.0, 1.0, 50), (1e-3, 2.0, 30), (5.0, 1e4, 20)])
def test_a_multiple_of_the_identity_plus_a_matrix_of_ones_follows_sherman_and_morrison(relative, a, b, d):
    ones, identity = torch.ones(d, d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)
    result = hyperpower_inverse(a * identity + b * ones, tol=1e-8)
    assert relative(result.inverse, identity / a - b / (a * (a + b * d)) * ones) < 1e-8


def test_the_identity_plus_an_outer_product_follows_sherman_and_morrison(relative):
    u = torch.linspace(-3, 5, 40, dtype=torch.float64)
    outer, identity = torch.outer(u, u), torch.eye(40, dtype=torch.float64)
    result = hyperpower_inverse(identity + outer, tol=1e-9)
    assert relative(result.inverse, identity - outer / (1 + u @ u)) < 1e-9


@pytest.mark.parametrize("rho", [0.1, 0.9, 0.999])
def test_a_kac_murdock_szego_matrix_has_its_tridiagonal_inverse(relative, rho):
    d = 40
    index = torch.arange(d, dtype=torch.float64)
    a = rho ** (index[:, None] - index).abs()
    inverse = torch.diag(torch.full((d,), 1 + rho**2, dtype=torch.float64))
    inverse[0, 0] = inverse[-1, -1] = 1
    inverse -= rho * (torch.diag(torch.ones(d - 1), 1) + torch.diag(torch.ones(d - 1), -1))
    assert relative(hyperpower_inverse(a, tol=1e-8).inverse, inverse / (1 - rho**2)) < 1e-7


def hilbert_inverse(n):
    return [
        [
            (-1) ** (i + j)
            * (i + j + 1)
            * math.comb(n + i, n - j - 1)
            * math.comb(n + j, n - i - 1)
            * math.comb(i + j, i) ** 2
            for j in range(n)
        ]
        for i in range(n)
    ]


# The largest n at which eps * condition leaves room for a residual of 1e-3 in the dtype, and at which the matrix is
# still positive definite with a condition that float64 can take: so small a float32 matrix is finished there.
@pytest.mark.parametrize(("dtype", "reach", "end"), [(torch.float32, 4, 9), (torch.float64, 9, 11)])
@pytest.mark.parametrize("n", range(4, 13))
@pytest.mark.filterwarnings("ignore::hyperinf.linalg.ConvergenceWarning")
def test_a_hilbert_matrix_is_inverted_or_its_floor_is_reported(relative, dtype, reach, end, n):
    index = torch.arange(n, dtype=torch.float64)
    a = (1 / (index[:, None] + index + 1)).to(dtype)
    exact = torch.tensor(hilbert_inverse(n), dtype=torch.float64)
    condition = float(torch.linalg.norm(a.double()) * torch.linalg.norm(exact))
    result = hyperpower_inverse(a, on_fail="warn")
    if n <= reach:
        # The entries of a are themselves rounded.
        assert result.converged
        assert relative(result.inverse, exact) < 1e-3 + torch.finfo(dtype).eps * condition
    elif n > end:
        assert not result.converged
    if result.converged:
        assert relative(result.inverse, torch.linalg.inv(a.double())) < 1e-3
    assert result.converged == (result.residual <= 1e-3)
    true = torch.linalg.norm(torch.eye(n, dtype=torch.float64) - a.double() @ result.inverse.double())
    assert float(true) < 2 * result.residual + 10 * torch.finfo(dtype).eps * condition
    assert torch.isfinite(result.inverse).all()
