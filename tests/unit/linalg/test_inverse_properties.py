import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperinf.linalg import hyperpower_inverse

RUNS = settings(max_examples=25, deadline=None)


@st.composite
def matrices(draw, dtype=torch.float64, largest_condition=5):
    d = draw(st.integers(1, 24))
    exponents = draw(st.lists(st.floats(-largest_condition, 0), min_size=d, max_size=d))
    scale = 10.0 ** draw(st.integers(-6, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    q, _ = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    a = (q * (scale * 10.0 ** torch.tensor(exponents, dtype=torch.float64))) @ q.T
    return ((a + a.T) / 2).to(dtype)


@RUNS
@given(matrices(), st.integers(-100, 100))
def test_scaling_by_a_power_of_two_scales_the_inverse_exactly(a, exponent):
    factor = 4.0**exponent
    plain, scaled = hyperpower_inverse(a), hyperpower_inverse(a * factor)
    assert torch.equal(scaled.inverse * factor, plain.inverse)
    assert (scaled.iterations, scaled.matmuls) == (plain.iterations, plain.matmuls)


@RUNS
@given(matrices(), st.randoms(use_true_random=False))
def test_permuting_rows_and_columns_permutes_the_inverse(a, random):
    order = torch.tensor(random.sample(range(len(a)), len(a)))
    plain = hyperpower_inverse(a, tol=1e-7).inverse
    permuted = hyperpower_inverse(a[order][:, order], tol=1e-7).inverse
    assert torch.linalg.norm(permuted - plain[order][:, order]) <= 2.1e-7 * torch.linalg.norm(plain)


@RUNS
@given(matrices(torch.float32, 3), st.sampled_from([1e-1, 1e-2, 1e-3]), st.sampled_from(["chebyshev", "schulz"]))
def test_the_bound_bounds_the_true_error_and_the_residual_is_the_true_one(a, tol, method):
    result = hyperpower_inverse(a, tol=tol, method=method)
    exact = torch.linalg.inv(a.double())
    error = float(torch.linalg.norm(result.inverse.double() - exact))
    assert error <= result.error_bound
    true = float(torch.linalg.norm(torch.eye(len(a), dtype=torch.float64) - a.double() @ result.inverse.double()))
    assert true == pytest.approx(result.residual, rel=1e-2, abs=1e-4)
    # A bound that is never near the error would be worth nothing.
    assert result.error_bound <= 1.5 * float(torch.linalg.norm(exact)) * (result.residual + 0.05) / (0.85 - tol)


@RUNS
@given(matrices(largest_condition=8))
def test_every_positive_definite_matrix_is_inverted_by_default(a):
    result = hyperpower_inverse(a)
    identity = torch.eye(len(a), dtype=torch.float64)
    assert result.converged
    assert torch.linalg.norm(identity - a @ result.inverse) <= 1e-3


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.floats(1, 6), st.integers(2, 7))
def test_a_few_small_eigenvalues_among_equal_ones_are_waited_for(d, few, exponent, order):
    # A fitted update lifts what is resolved while it brings down what is not: no sign of a rounding floor.
    values = torch.where(torch.arange(d) < few, 10.0**-exponent, 1.0).double()
    result = hyperpower_inverse(torch.diag(values), order=order)
    torch.testing.assert_close(result.inverse.diagonal() * values, torch.ones_like(values), atol=1e-3, rtol=0)


@RUNS
@given(matrices(), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_wrong_bounds_never_make_a_wrong_inverse(a, low, high):
    values = torch.linalg.eigvalsh(a)
    lmin, lmax = float(values[0]) * low, float(values[-1]) * high
    # Below its largest diagonal entry no number bounds the spectrum, and the two must be in order.
    result = hyperpower_inverse(a, lmin=min(lmin, lmax, float(a.diagonal().amax())), lmax=lmax, max_iter=100)
    assert torch.linalg.norm(torch.eye(len(a), dtype=torch.float64) - a @ result.inverse) <= 1e-3
