import pytest
import torch

from hyperinf.linalg import ConvergenceError, ConvergenceWarning, hyperpower_inverse

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ([[1.0]], "a must be a torch.Tensor, got list"),
        (torch.ones(2, 3), "square matrices .* got shape \\(2, 3\\)"),
        (torch.ones(3), "square matrices .* got shape \\(3,\\)"),
        (torch.zeros(0, 3, 3), "empty"),
        (torch.eye(3, dtype=torch.bfloat16), "dtype bfloat16, expected float32 or float64"),
        (torch.eye(3, dtype=torch.float16), "dtype float16, expected float32 or float64"),
        (torch.eye(3, dtype=torch.int64), "dtype int64, expected float32 or float64"),
        (torch.eye(3, dtype=torch.complex64), "dtype complex64, expected float32 or float64"),
        (torch.eye(3).to_sparse(), "dense"),
        (torch.tensor([[1.0, NAN], [NAN, 1.0]]), "NaN or infinite"),
        (torch.tensor([[INF, 0.0], [0.0, 1.0]]), "NaN or infinite"),
        (torch.tensor([[1.0, 0.1], [0.0, 1.0]]), "not symmetric"),
        (torch.stack([torch.eye(2), torch.tensor([[1.0, 0.1], [0.0, 1.0]])]), "not symmetric.*batch element 1"),
        (torch.zeros(4, 4), "zero matrix"),
        (torch.diag(torch.tensor([1.0, -1.0])), "not positive definite: its smallest diagonal entry is -1"),
        (torch.diag(torch.tensor([1.0, 0.0])), "not positive definite: its smallest diagonal entry is 0"),
        (torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "not positive definite: it has an eigenvalue of -1 or less"),
    ],
)
def test_what_is_no_positive_definite_matrix_is_refused_in_one_line(a, message):
    with pytest.raises(ConvergenceError, match=message) as error:
        hyperpower_inverse(a)
    assert isinstance(error.value, ValueError)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "newton"}, "method must be 'chebyshev' or 'schulz', got 'newton'"),
        ({"order": 1}, "order must be an integer from 2 to 7, got 1"),
        ({"order": 8}, "order must be an integer from 2 to 7, got 8"),
        ({"order": 2.5}, "order must be an integer"),
        ({"init": "best"}, "init must be 'auto', 'paper', a number > 0 or a tensor"),
        ({"init": -1.0}, "init must be a finite number > 0"),
        ({"init": torch.eye(2)}, "init must have shape \\[..., 3, 3\\], got \\(2, 2\\)"),
        ({"init": -torch.eye(3)}, "init is not positive definite"),
        ({"tol": -1.0}, "tol: got -1.0, expected a number >= 0 and < 1"),
        ({"tol": NAN}, "tol: got nan, expected a number >= 0 and < 1"),
        ({"max_iter": 0}, "max_iter must be an integer >= 1"),
        ({"lmin": 0.0}, "lmin must be a finite number > 0"),
        ({"lmax": NAN}, "lmax must be a finite number > 0"),
        ({"lmin": 2.0, "lmax": 1.0}, "lmin must not exceed lmax"),
        ({"lmin": torch.ones(5)}, "lmin of shape \\(5,\\) does not fit"),
        ({"on_fail": "ignore"}, "on_fail must be 'raise' or 'warn'"),
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(arguments, message):
    with pytest.raises(ConvergenceError, match=message) as error:
        hyperpower_inverse(torch.eye(3), **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("given", [{}, {"lmin": 1e-3, "lmax": 1.0}, {"method": "schulz", "order": 3}])
@pytest.mark.parametrize("negative", [-1.0, -1e-1, -1e-3, -1e-6, -1e-9, -1e-12])
def test_one_negative_eigenvalue_among_200_is_found_however_small(rotated, spectrum, negative, given):
    values = spectrum("geometric", 200, 1e3)
    values[77] = negative
    with pytest.raises(ConvergenceError, match="not positive definite"):
        hyperpower_inverse(rotated(values)[0], **given)


def test_a_negative_eigenvalue_that_no_few_products_with_vectors_can_see_is_found(rotated, spectrum):
    values = torch.cat([spectrum("geometric", 199, 1e6), torch.tensor([-1e-3], dtype=torch.float64)])
    with pytest.raises(ConvergenceError, match=r"v'Av = -0.001"):
        hyperpower_inverse(rotated(values)[0], lmin=1e-6, lmax=1.0)


def test_the_inverse_of_an_indefinite_matrix_is_no_way_in(rotated, spectrum):
    values = spectrum("geometric", 30, 1e2)
    values[3] *= -1
    a, inverse = rotated(values)
    with pytest.raises(ConvergenceError, match="init is not positive definite"):
        hyperpower_inverse(a, init=inverse)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_singular_matrix_is_refused(dtype):
    rows = torch.randn(20, 48, generator=torch.Generator().manual_seed(0), dtype=dtype)
    with pytest.raises(ConvergenceError, match=r"singular|not positive definite"):
        hyperpower_inverse(rows.T @ rows)


def test_float32_says_so_where_the_condition_is_beyond_it(rotated, spectrum):
    for condition in (1e6, 1e8):
        with pytest.raises(ConvergenceError, match=r"float32|not positive definite") as error:
            hyperpower_inverse(rotated(spectrum("two clusters", 64, condition))[0].float())
        assert error.value.result is not None
        assert not error.value.result.converged
        assert error.value.result.residual > 1e-3


def test_a_lower_bound_that_is_too_large_costs_products_but_not_the_result(rotated, spectrum, relative):
    a, inverse = rotated(spectrum("geometric", 48, 1e4))
    for lmin in (1e-3, 1e-2, 0.9):
        for bounds in ({"lmin": lmin}, {"lmin": lmin, "lmax": 1.0}):
            result = hyperpower_inverse(a, tol=1e-6, **bounds)
            assert relative(result.inverse, inverse) < 1e-6
            assert result.matmuls <= 24


@pytest.mark.parametrize("factor", [0.99, 0.95, 0.9, 0.5, 1e-2, 1e-8])
@pytest.mark.parametrize("method", ["chebyshev", "schulz"])
def test_an_upper_bound_that_is_too_small_is_corrected(rotated, spectrum, relative, factor, method):
    a, inverse = rotated(spectrum("geometric", 48, 1e3))
    result = hyperpower_inverse(a, method=method, lmin=min(1e-3, factor), lmax=factor, tol=1e-6)
    assert relative(result.inverse, inverse) < 1e-6
    assert ("was not used" in result.reason) == (factor <= 0.5)


def test_warning_returns_the_best_iterate_instead(rotated, spectrum):
    a, _ = rotated(spectrum("geometric", 48, 1e3))
    with pytest.warns(ConvergenceWarning, match="not converged after 3 updates"):
        result = hyperpower_inverse(a, max_iter=3, on_fail="warn")
    assert not result.converged
    assert result.iterations == 3
    true = torch.linalg.norm(torch.eye(48, dtype=torch.float64) - a @ result.inverse)
    assert result.residual == pytest.approx(float(true), rel=1e-9)


def test_warning_of_a_matrix_known_to_be_indefinite_returns_nothing_for_it_but_the_others_inverse():
    a = torch.stack([torch.eye(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])]).double()
    with pytest.warns(ConvergenceWarning, match=r"not positive definite.*batch element 1"):
        result = hyperpower_inverse(a, on_fail="warn")
    assert not result.converged
    torch.testing.assert_close(result.inverse[0], torch.eye(2, dtype=torch.float64), atol=1e-3, rtol=0)
    assert (result.inverse[1] == 0).all()


def test_tolerance_zero_runs_to_the_floor_of_rounding_and_stops_there(rotated, spectrum, relative):
    a, inverse = rotated(spectrum("geometric", 48, 1e2))
    with pytest.raises(ConvergenceError, match="rounding floor of float64") as error:
        hyperpower_inverse(a, tol=0.0)
    assert error.value.result.iterations < 15
    assert relative(error.value.result.inverse, inverse) < 1e-12
