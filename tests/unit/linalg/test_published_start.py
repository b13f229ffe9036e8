import pytest
import torch

from hyperinf.linalg import ConvergenceError, ConvergenceWarning, hyperpower_inverse, solve_reference

# Errors of the published figure at d = 512, N = 200, relative to the first: vector paths of its PDF.
PUBLISHED = {10: 1746, 15: 1719, 18: 1533, 20: 1034, 21: 612.2, 22: 214.5, 23: 26.32}
PUBLISHED_FIRST = 1747


def test_the_published_start_is_the_published_recurrence_whatever_the_method(rotated, spectrum):
    a, _ = rotated(spectrum("geometric", 20, 50.0) * 300)
    expected, x = [], 5e-5 * torch.eye(20, dtype=torch.float64)
    for _ in range(12):
        x = x @ (2 * torch.eye(20, dtype=torch.float64) - a @ x)
        expected.append(x)
    for method in ("schulz", "chebyshev"):
        seen: list[tuple[int, torch.Tensor]] = []

        def note(k, iterate, seen=seen):
            seen.append((k, iterate))

        with pytest.warns(ConvergenceWarning):
            hyperpower_inverse(
                a,
                method=method,
                init="paper",
                max_iter=12,
                tol=0.0,
                on_fail="warn",
                callback=note,
            )
        assert [k for k, _ in seen] == list(range(1, 13))
        for (_, iterate), exact in zip(seen, expected, strict=True):
            torch.testing.assert_close(iterate, exact, rtol=1e-11, atol=1e-16)


def test_the_published_curve_is_flat_and_then_collapses_where_it_was_published_to():
    generator = torch.Generator().manual_seed(11)
    samples = torch.randn(200, 512, generator=generator)
    a = samples.T @ samples / 200 + 0.01 * torch.eye(512)
    v = torch.randn(512, generator=generator)
    reference = solve_reference(a, v)
    errors = {}

    def record(iteration, x):
        errors[iteration] = float(torch.linalg.norm((x @ v).double() - reference))

    with pytest.warns(ConvergenceWarning):
        hyperpower_inverse(a, init="paper", max_iter=23, tol=0.0, on_fail="warn", callback=record)
    # No seed was published; the norm of A^-1 v differs from draw to draw.
    assert errors[1] == pytest.approx(PUBLISHED_FIRST, rel=0.15)
    for iteration, published in PUBLISHED.items():
        assert errors[iteration] / errors[1] == pytest.approx(published / PUBLISHED_FIRST, rel=0.02)


@pytest.mark.parametrize("largest", [4.1e4, 1e5, 1e9])
def test_its_divergence_beyond_4e4_is_caught_and_explained(rotated, spectrum, largest):
    a, _ = rotated(spectrum("geometric", 40, 1e3) * largest)
    with pytest.raises(ConvergenceError, match=r"diverged .*start 5e-05 I converges only below the eigenvalue 4e\+04"):
        hyperpower_inverse(a, method="schulz", init="paper")
    assert hyperpower_inverse(a, method="schulz").converged


def test_below_4e4_it_converges(rotated, spectrum, relative):
    a, inverse = rotated(spectrum("geometric", 40, 1e2) * 3.9e4)
    assert relative(hyperpower_inverse(a, init="paper").inverse, inverse) < 1e-3


def test_a_small_matrix_is_left_a_scaled_identity_and_that_is_reported(rotated, spectrum, relative):
    a, inverse = rotated(spectrum("geometric", 40, 1e2) * 1e-6)
    with pytest.raises(ConvergenceError, match=r"not converged after 20 updates.*40 of 40 directions") as error:
        hyperpower_inverse(a, init="paper", max_iter=20)
    left = error.value.result
    # After k steps no eigenvalue exceeds 5e-5 * 2^k.
    torch.testing.assert_close(left.inverse, 5e-5 * 2**20 * torch.eye(40, dtype=torch.float64), rtol=1e-3, atol=1e-2)
    assert left.residual == pytest.approx(40**0.5, rel=1e-3)
    assert relative(hyperpower_inverse(a, max_iter=20).inverse, inverse) < 1e-3


def test_a_number_and_a_matrix_are_starts_as_well(rotated, spectrum, relative):
    a, inverse = rotated(spectrum("geometric", 40, 1e2))
    for start in (1.0, 1e-6, torch.tensor(0.5), inverse * 1.2, torch.eye(40, dtype=torch.float64) * 0.5):
        result = hyperpower_inverse(a, init=start, tol=1e-6)
        assert relative(result.inverse, inverse) < 1e-6
    assert hyperpower_inverse(a, init=inverse * 1.01, tol=1e-3).iterations <= 2
    with pytest.raises(ConvergenceError, match=r"start 2.1 I converges only below the eigenvalue 0.952"):
        hyperpower_inverse(a, init=2.1)
    with pytest.raises(ConvergenceError, match="init is too far from the inverse"):
        hyperpower_inverse(a, init=3 * inverse)
