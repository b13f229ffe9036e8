import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch

from hyperinf.linalg import ConvergenceError, hyperpower_inverse
from hyperinf.linalg.certificate import exact_residual, rounding
from hyperinf.linalg.hyperpower import attempt_inverse

PATH = Path(__file__).parents[2] / "faults" / "inverses.py"
spec = importlib.util.spec_from_file_location("inverses", PATH)
inverses = importlib.util.module_from_spec(spec)
sys.modules["inverses"] = inverses
spec.loader.exec_module(inverses)


def true_residual(a, x):
    return inverses.root(inverses.squares(inverses.residual_of(inverses.exact(a), inverses.exact(x))))


def attempted(a, tol=1e-3, max_iter=60, **arguments):
    defaults = {"method": "chebyshev", "order": 2, "init": "auto"}
    return attempt_inverse(a, **{**defaults, **arguments}, tol=tol, max_iter=max_iter)


def test_five_hundred_matrices_of_every_kind_are_inverted_rightly_or_refused_in_one_line():
    wrong = [
        (case.kinds, case.arguments, said) for case in inverses.cases(500, 1) if (said := inverses.complaints(case))
    ]
    assert not wrong


def test_the_fuzz_sees_what_is_wrong(monkeypatch):
    case = inverses.Case(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), ["rotated"], {"tol": 1e-3})
    assert inverses.complaints(case) == []
    right = hyperpower_inverse(case.a, tol=1e-3)
    for change, complaint in (
        ({"inverse": right.inverse * 1.01}, "the relative error is"),
        ({"inverse": right.inverse + torch.tensor([[0, 1e-5], [0, 0]])}, "not symmetric"),
        ({"error_bound": math.inf}, "infinite error bound"),
        ({"error_bound": 0.0}, "above its bound"),
        ({"converged": False}, "not inverted although within reach"),
    ):
        told = type(right)(**{**vars(right), **change})
        monkeypatch.setattr(inverses, "hyperpower_inverse", lambda *_, told=told, **__: told)
        assert any(complaint in line for line in inverses.complaints(case))
    indefinite = inverses.Case(torch.tensor([[1.0, 2.0], [2.0, 1.0]]), ["indefinite"], {"tol": 1e-3})
    monkeypatch.setattr(inverses, "hyperpower_inverse", lambda *_, **__: right)
    assert any("not positive definite" in line for line in inverses.complaints(indefinite))


@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("method", ["chebyshev", "schulz"])
def test_a_residual_that_rounds_to_zero_in_float32_is_not_believed(method, tol):
    a = torch.tensor([[1.0, 3.0], [3.0, 9.0001]])
    result = attempted(a, tol=tol, method=method)
    assert result.converged
    assert relative_error(a, result.inverse) <= min(tol, 1e-3)
    missed = float((result.inverse.double() - torch.linalg.inv(a.double())).norm())
    assert missed <= result.error_bound < math.inf


def relative_error(a, x):
    exact = torch.linalg.inv(a.double())
    return float((x.double() - exact).norm() / exact.norm())


def test_two_by_two_matrices_of_float32_near_singular_are_inverted_as_float64_inverts_them():
    generator = torch.Generator().manual_seed(0)
    v = torch.randint(1, 10, (80, 2), generator=generator).float()
    extra = 10 ** -(5 * torch.rand(80, generator=generator))
    batch = v[:, :, None] * v[:, None, :]
    batch[:, 1, 1] += extra
    for a in batch:
        for tol in (1e-3, 1e-6):
            result = attempted(a, tol=tol)
            assert result.converged == bool(torch.linalg.eigvalsh(a.double())[0] > 0)
            assert not result.converged or relative_error(a, result.inverse) <= tol
            assert torch.equal(result.inverse, result.inverse.mT)


@pytest.mark.parametrize("d", [2, 3, 20, 64, 100])
@pytest.mark.parametrize("condition", [1e4, 1e8, 1e11])
def test_an_inverse_in_float64_is_symmetric_to_the_bit_however_ill_conditioned(
    rotated, spectrum, relative, d, condition
):
    a, inverse = rotated(spectrum("geometric", d, condition))
    result = hyperpower_inverse(a)
    assert torch.equal(result.inverse, result.inverse.mT)
    assert relative(result.inverse, inverse) < 1e-3
    assert result.error_bound < 1.1e-3 * float(torch.linalg.norm(inverse))


def test_an_iterate_that_failed_is_symmetric_and_its_residual_its_own(rotated, spectrum):
    a, _ = rotated(spectrum("geometric", 48, 1e6))
    result = attempted(a, tol=0.0)
    assert not result.converged
    assert torch.equal(result.inverse, result.inverse.mT)
    assert result.residual == pytest.approx(float(torch.linalg.norm(torch.eye(48) - a @ result.inverse)), rel=1e-6)


def test_what_a_factorisation_has_finished_says_so(rotated, spectrum):
    a, _ = rotated(spectrum("geometric", 30, 1e10))
    assert "Cholesky factorisation in float64" in hyperpower_inverse(a).reason
    assert "Cholesky" not in hyperpower_inverse(rotated(spectrum("geometric", 30, 1e4))[0]).reason


def test_a_small_block_whose_residual_rounds_to_zero_is_found_in_a_large_matrix():
    a = torch.eye(80)
    a[:2, :2] = torch.tensor([[1.0, 3.0], [3.0, 9.0001]])
    with pytest.raises(ConvergenceError, match="rounding floor of float32"):
        hyperpower_inverse(a)
    assert hyperpower_inverse(a.double()).converged


def test_one_bad_matrix_of_a_batch_does_not_spoil_the_others_nor_hide_behind_them():
    indefinite = torch.tensor([[1.0, 3.0], [3.0, 8.9999]])
    a = torch.stack([torch.eye(2), indefinite, 2 * torch.eye(2)])
    with pytest.raises(ConvergenceError, match="batch element 1") as error:
        hyperpower_inverse(a)
    good = torch.stack([torch.eye(2), torch.eye(2) / 2])
    torch.testing.assert_close(error.value.result.inverse[[0, 2]], good, rtol=0, atol=1e-3)


@pytest.mark.parametrize("tol", [1.0, 1, 2.5, True, -1e-3, math.nan, math.inf, "1e-3"])
def test_a_tolerance_from_which_nothing_follows_is_refused(tol):
    with pytest.raises(ConvergenceError, match=r"tol: got .*, expected a number >= 0 and < 1"):
        hyperpower_inverse(torch.eye(2), tol=tol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 3])
def test_an_inverse_beyond_the_range_of_the_dtype_is_refused_by_that_name(dtype, d):
    a = torch.eye(d, dtype=dtype) * torch.finfo(dtype).tiny * 2**-6
    with pytest.raises(ConvergenceError, match=r"beyond the range of float"):
        hyperpower_inverse(a)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_by_one_is_inverted_to_the_last_digits_at_any_scale(dtype, scale):
    a = torch.tensor([[3.7 * scale]], dtype=dtype)
    tol = 4 * torch.finfo(dtype).eps
    assert true_residual(a, hyperpower_inverse(a, tol=tol).inverse) <= tol


def test_the_exact_residual_is_exact_where_a_product_in_float64_has_no_digit_left():
    index = torch.arange(9, dtype=torch.float64)
    hilbert = 1 / (index[:, None] + index + 1)
    grades = torch.logspace(-12, 12, 9, dtype=torch.float64)
    for a in (hilbert, hilbert * torch.outer(grades, grades)):
        x = torch.cholesky_inverse(torch.linalg.cholesky(a))
        r, slack = exact_residual(a[None], x[None])
        exact = inverses.residual_of(inverses.exact(a), inverses.exact(x))
        missed = inverses.root(inverses.squares(inverses.difference(inverses.exact(r[0]), exact)))
        assert missed <= float(slack)
        # How far the inverse is off depends on the machine's factorisation; what a plain product may lose does not.
        assert float(slack) < 1e-6 * float(rounding(a[None], x[None]))
