import pytest
import torch

from hyperinf.linalg import column_bound, norm_bound, spectrum_bounds
from hyperinf.linalg.bounds import entry_scale, lanczos_extremes
from hyperinf.linalg.polynomial import predicted_rho, update_coefficients

SHAPES = ["geometric", "uniform", "two clusters", "three large"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_eigenvalue_lies_between_its_bounds(rotated, spectrum, dtype, scale, shape):
    a = torch.stack([rotated(scale * spectrum(shape, 96, 1e4), seed)[0] for seed in range(5)]).to(dtype)
    bounds = spectrum_bounds(a)
    assert (column_bound(a) <= scale * (1 + 1e-5)).all()
    assert (norm_bound(a) >= scale).all()
    assert (bounds.upper >= scale).all()
    assert (bounds.upper <= bounds.norm).all()
    assert (bounds.upper <= 1.2 * scale).all()
    assert (bounds.smallest >= 1e-4 * scale * 0.9).all()


def test_norms_bound_where_each_of_them_is_the_sharpest():
    concentrated = torch.zeros(1, 50, 50, dtype=torch.float64)
    concentrated[0] = 1e-6 * torch.eye(50)
    concentrated[0, 0, 0] = 1.0
    assert float(norm_bound(concentrated)) == pytest.approx(1.01, rel=1e-9)
    ones = torch.ones(1, 50, 50, dtype=torch.float64)
    assert float(norm_bound(ones)) == pytest.approx(1.01 * 50, rel=1e-9)
    identity = torch.eye(50, dtype=torch.float64)[None]
    assert float(norm_bound(identity)) == pytest.approx(1.01, rel=1e-9)


def test_ritz_values_are_exact_once_the_krylov_space_is_exhausted(rotated):
    two = rotated(torch.tensor([-3.0, -3.0, 8.0, 8.0, 8.0, 8.0], dtype=torch.float64))[0]
    all_different = rotated(torch.linspace(-3, 8, 6, dtype=torch.float64))[0]
    identity = torch.eye(6, dtype=torch.float64)
    for a, steps in ((two, 3), (all_different, 6), (identity, 1)):
        smallest, largest, exhausted = lanczos_extremes(a[None], steps)
        assert bool(exhausted)
        assert float(smallest) == pytest.approx(float(torch.linalg.eigvalsh(a)[0]), rel=1e-12)
        assert float(largest) == pytest.approx(float(torch.linalg.eigvalsh(a)[-1]), rel=1e-12)
    assert not bool(lanczos_extremes(all_different[None], 3)[2])


def test_ritz_values_lie_within_the_spectrum(rotated, spectrum):
    a = rotated(spectrum("geometric", 80, 1e6))[0][None]
    for steps in (1, 5, 20):
        smallest, largest, _ = lanczos_extremes(a, steps)
        assert 1e-6 <= float(smallest) <= float(largest) <= 1 + 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_scale_of_entries_is_a_power_of_four_near_the_largest(dtype):
    limits = torch.finfo(dtype)
    largest = torch.tensor([limits.max, limits.tiny * 8, 1.0, 3.9, 4.0, 1e-3], dtype=dtype)
    scale = entry_scale(largest[:, None, None])
    assert ((largest / scale >= 0.25) & (largest / scale <= 16)).all()
    assert torch.equal(torch.log2(scale) % 2, torch.zeros(6, dtype=dtype))


@pytest.mark.parametrize("order", range(2, 8))
def test_the_update_polynomial_is_the_smallest_residual_on_its_interval(order):
    rho = torch.tensor([0.0, 0.3, 0.9, 0.999], dtype=torch.float64)
    c = update_coefficients(order, rho)
    r = rho[:, None] * torch.cos(torch.linspace(0, torch.pi, 200, dtype=torch.float64))
    residual = 1 - (1 - r) * sum(c[:, j : j + 1] * r**j for j in range(order))
    # T_p(1/rho) = cosh(p arcosh(1/rho)), and the minimum is attained p + 1 times.
    least = 1 / torch.cosh(order * torch.acosh(1 / rho))
    torch.testing.assert_close(residual.abs().amax(1), least, rtol=1e-3, atol=1e-12)
    torch.testing.assert_close(predicted_rho(order, rho), least, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", range(2, 8))
def test_no_eigenvalue_leaves_the_region_of_convergence_however_wrong_the_interval(order):
    rho = torch.linspace(0, 0.9999, 50, dtype=torch.float64)
    c = update_coefficients(order, rho)
    r = torch.linspace(-0.9999, 0.9999, 401, dtype=torch.float64)
    residual = 1 - (1 - r) * sum(c[:, j : j + 1] * r**j for j in range(order))
    assert (residual.abs() < 1).all()
