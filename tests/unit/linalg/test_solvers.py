from typing import Any

import pytest
import torch

from hyperinf.linalg import SOLVERS, hyperpower_inverse, refine_solution, solve_reference
from hyperinf.linalg.solvers import conjugate_gradient, lissa, neumann, schulz_paper, sor

ITERATIVE = ["schulz_paper", "schulz", "chebyshev", "lissa", "neumann", "sor", "cg", "gmres"]


@pytest.fixture
def system(rotated, spectrum):
    """A, b and ``A^-1 b``, known from the eigenvalues."""

    def make(condition=30.0, d=24, columns=None, scale=100.0, dtype=torch.float64):
        a, inverse = rotated(scale * spectrum("geometric", d, condition))
        generator = torch.Generator().manual_seed(5)
        b = torch.randn((d,) if columns is None else (d, columns), generator=generator, dtype=torch.float64)
        return a.to(dtype), b.to(dtype), inverse @ b

    return make


def test_the_registry_holds_the_methods_of_the_studies():
    assert set(SOLVERS) == {*ITERATIVE, "cholesky", "inv"}


@pytest.mark.parametrize("columns", [None, 1, 3])
@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_finds_the_known_solution_given_time(system, relative, name, columns):
    a, b, exact = system(columns=columns)
    result = SOLVERS[name](a, b, iterations=3000, tol=1e-9)
    assert result.x.shape == b.shape
    assert relative(result.x, exact) < 1e-7
    assert result.converged
    assert result.residual == pytest.approx(
        float(torch.linalg.norm(b - a @ result.x) / torch.linalg.norm(b)), rel=1e-3, abs=1e-13
    )


@pytest.mark.parametrize("columns", [None, 2])
@pytest.mark.parametrize("name", ITERATIVE)
def test_the_callback_sees_every_iterate_up_to_the_one_returned(system, relative, name, columns):
    a, b, exact = system(columns=columns)
    seen = []
    result = SOLVERS[name](a, b, iterations=7, tol=0.0, callback=lambda t, x: seen.append((t, x)))
    assert [t for t, _ in seen] == list(range(1, result.iterations + 1))
    assert all(x.shape == b.shape for _, x in seen)
    torch.testing.assert_close(seen[-1][1], result.x, rtol=1e-9, atol=1e-12)
    assert not result.converged
    assert relative(seen[-1][1], exact) < relative(seen[0][1], exact)


@pytest.mark.parametrize("name", ITERATIVE)
def test_fewer_iterations_give_what_the_callback_saw(system, name):
    a, b, _ = system()
    seen = {}
    SOLVERS[name](a, b, iterations=6, tol=0.0, callback=lambda t, x: seen.update({t: x}))
    short = SOLVERS[name](a, b, iterations=4, tol=0.0)
    assert short.iterations == 4
    torch.testing.assert_close(short.x, seen[4], rtol=1e-9, atol=1e-12)


def test_lissa_is_its_published_loop(system):
    a, b, _ = system()
    s = float(sum(float(entry) ** 2 for entry in a.reshape(-1)) ** 0.5) + 1
    r = b.clone()
    expected = []
    for _ in range(15):
        product = torch.tensor([float(sum(x * y for x, y in zip(row.tolist(), r.tolist(), strict=True))) for row in a])
        r = b + r - product.double() / s
        expected.append(r / s)
    seen = []
    lissa(a, b, iterations=15, tol=0.0, callback=lambda t, x: seen.append(x))
    for got, want in zip(seen, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-9)


def test_neumann_is_the_truncated_series(system):
    a, b, _ = system(scale=1.0)
    for scale in (1.0, 3.0):
        term, total = b / scale, b / scale
        for _ in range(9):
            term = term - a @ term / scale
            total = total + term
        result = neumann(a, b, iterations=9, tol=0.0, scale=scale)
        torch.testing.assert_close(result.x, total, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["neumann", "lissa"])
def test_a_series_beyond_its_radius_is_reported_as_diverged_and_stays_finite(system, name):
    a, b, _ = system(scale=1e3)
    solve: Any = SOLVERS[name]
    result = solve(a, b, iterations=10_000, scale=1.0)
    assert not result.converged
    assert result.reason.startswith("diverged")
    assert torch.isfinite(result.x).all()


def test_over_relaxation_is_a_sweep_over_the_unknowns(system):
    a, b, _ = system(d=8)
    x = [0.0] * 8
    for _ in range(5):
        for i in range(8):
            seidel = (float(b[i]) - sum(float(a[i, j]) * x[j] for j in range(8) if j != i)) / float(a[i, i])
            x[i] = 0.5 * x[i] + 0.5 * seidel
    result = sor(a, b, iterations=5, tol=0.0)
    torch.testing.assert_close(result.x, torch.tensor(x, dtype=torch.float64), rtol=1e-10, atol=1e-12)


def test_conjugate_gradients_take_as_many_steps_as_there_are_eigenvalues():
    a = torch.diag(torch.tensor([1.0, 1.0, 4.0, 4.0, 9.0], dtype=torch.float64))
    b = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [1.0, 0.0], [5.0, 1.0]], dtype=torch.float64)
    result = conjugate_gradient(a, b, tol=1e-12)
    assert result.iterations == 3
    torch.testing.assert_close(result.x, b / a.diagonal()[:, None])


def test_conjugate_gradients_say_that_a_matrix_is_not_positive_definite():
    result = conjugate_gradient(torch.diag(torch.tensor([1.0, -1.0])), torch.tensor([0.1, 1.0]))
    assert not result.converged
    assert "not positive definite" in result.reason


def test_gmres_has_the_least_residual_of_its_krylov_space(system):
    a, b, _ = system()
    seen = {}
    SOLVERS["gmres"](a, b, iterations=5, tol=0.0, callback=lambda t, x: seen.update({t: x}))
    krylov = torch.stack([torch.linalg.matrix_power(a / 100, j) @ b for j in range(5)], dim=1)
    for t in range(1, 6):
        least = torch.linalg.lstsq(a @ krylov[:, :t], b[:, None]).solution
        best = torch.linalg.norm(b - a @ krylov[:, :t] @ least[:, 0])
        assert float(torch.linalg.norm(b - a @ seen[t])) == pytest.approx(float(best), rel=1e-6)


def test_the_published_schulz_iteration_is_its_loop(system):
    a, b, _ = system()
    x = 5e-5 * torch.eye(24, dtype=torch.float64)
    for _ in range(10):
        x = x @ (2 * torch.eye(24, dtype=torch.float64) - a @ x)
    torch.testing.assert_close(schulz_paper(a, b, iterations=10).x, x @ b, rtol=1e-9, atol=1e-14)


def test_its_divergence_is_reported_and_the_result_finite(system):
    a, b, _ = system(scale=1e6)
    result = schulz_paper(a, b, iterations=40)
    assert not result.converged
    assert result.reason.startswith("diverged")
    assert torch.isfinite(result.x).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_a_right_hand_side_of_zero_has_the_solution_zero(system, name):
    a, b, _ = system()
    result = SOLVERS[name](a, torch.zeros_like(b))
    assert (result.x == 0).all()
    assert result.residual == 0


@pytest.mark.parametrize("name", SOLVERS)
def test_a_system_that_is_none_is_refused_in_one_line(system, name):
    a, b, _ = system()
    nan = torch.full_like(b, float("nan"))
    for wrong in ((a[:3], b), (a, b[:3]), (a, b.float()), (a[None], b), (a, nan), (a.int(), b), (a, b[:, None, None])):
        with pytest.raises(ValueError, match=r"^(a|b) .*(shape|NaN|dtype|agree)") as error:
            SOLVERS[name](*wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="iterations must be an integer >= 1"):
        SOLVERS[name](a, b, iterations=0)
    with pytest.raises(ValueError, match="tol must be"):
        SOLVERS[name](a, b, tol=-1.0)


@pytest.mark.parametrize(
    ("solver", "arguments"), [(sor, {"omega": 2.0}), (lissa, {"scale": 0.0}), (neumann, {"scale": float("nan")})]
)
def test_a_parameter_out_of_range_is_refused(system, solver, arguments):
    a, b, _ = system()
    with pytest.raises(ValueError, match=next(iter(arguments))):
        solver(a, b, **arguments)


@pytest.mark.parametrize("name", ["cholesky", "inv"])
def test_a_matrix_that_cannot_be_factorised_is_refused(name):
    with pytest.raises(ValueError, match=r"not positive definite|singular"):
        SOLVERS[name](torch.zeros(3, 3), torch.ones(3))


def test_products_with_vectors_are_counted_by_column(system):
    a, b, _ = system(columns=3)
    assert lissa(a, b, iterations=5, tol=0.0).matvecs == 3 * 6
    assert conjugate_gradient(a, b, iterations=5, tol=0.0).matvecs == 3 * 6
    assert sor(a, b, iterations=4, tol=0.0).matvecs == 3 * 7
    assert SOLVERS["cholesky"](a, b).matvecs == 0


def test_the_reference_is_float64_and_exact_to_it(system, relative):
    a, b, exact = system(condition=1e6)
    assert relative(solve_reference(a, b), exact) < 1e-9
    single = solve_reference(a.float(), b.float())
    assert single.dtype == torch.float64
    assert relative(single, torch.linalg.solve(a.float().double(), b.float().double())) < 1e-9
    with pytest.raises(ValueError, match="not positive definite"):
        solve_reference(-a, b)


@pytest.mark.parametrize("columns", [None, 4])
def test_a_residual_step_in_float64_squares_what_a_float32_inverse_left(system, relative, columns):
    a, b, _ = system(condition=1e3, columns=columns, dtype=torch.float32)
    inverse = hyperpower_inverse(a, tol=1e-3, lmin=0.1, method="schulz").inverse
    exact = torch.linalg.solve(a.double(), b.double())
    errors = [relative(refine_solution(a, inverse, b, steps), exact) for steps in range(3)]
    assert errors[1] < 1e-2 * errors[0] or errors[1] < 1e-11
    assert errors[2] < 1e-11
    assert refine_solution(a, inverse, b).dtype == torch.float64


def test_refinement_takes_batches_and_refuses_what_does_not_fit():
    a = torch.stack([2 * torch.eye(3), 4 * torch.eye(3)])
    x = refine_solution(a, a.inverse() * 1.001, torch.ones(2, 3, 1), steps=4)
    torch.testing.assert_close(x[:, 0, 0], torch.tensor([0.5, 0.25], dtype=torch.float64), rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match="one shape"):
        refine_solution(a, a[0], torch.ones(3))
    with pytest.raises(ValueError, match="b must have shape"):
        refine_solution(a, a, torch.ones(2, 4, 1))
    with pytest.raises(ValueError, match="steps"):
        refine_solution(a, a, torch.ones(3), steps=-1)
