from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hyperinf.errors import InputError
from hyperinf.settings.simulation import CONVERGENCE_SOLVERS
from hyperinf.settings.stages import SimulateConvergence
from hyperinf.simulation.convergence import COLUMNS, simulate_convergence
from hyperinf.simulation.methods import CONVERGENCE_METHODS, PreparedProblem
from hyperinf.simulation.problem import SyntheticProblem

DIRECT = ("datainf", "cholesky", "inv")
ITERATIVE = tuple(name for name in CONVERGENCE_METHODS if name not in DIRECT)
SMALL = SyntheticProblem(dim=40, samples=60, damping=0.01, seed=3)


def study(out: Path, **settings: Any) -> None:
    simulate_convergence(
        SimulateConvergence(**{"methods": CONVERGENCE_SOLVERS, **settings}, device="cpu", out=str(out))
    )


def errors_of(method: str, problem: SyntheticProblem, iterations: int) -> np.ndarray:
    points = CONVERGENCE_METHODS[method](PreparedProblem.draw(problem), iterations)
    return np.array([np.nan if point.error_l2 is None else point.error_l2 for point in points])


def eigenbasis(problem: SyntheticProblem) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of A, and v in A's eigenbasis, in float64."""
    values, vectors = np.linalg.eigh(problem.matrix().double().numpy())
    return values, vectors.T @ problem.vector().double().numpy()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("convergence") / "dim-40_seed-3.csv"
    study(out, dim=40, samples=(20, 400), seed=3)
    return pd.read_csv(out, dtype={"iteration": "Int64"})


def test_schulz_from_the_published_start_follows_its_scalar_recurrence_on_every_eigenvalue() -> None:
    eigenvalues, coefficients = eigenbasis(SMALL)
    scalars = np.full_like(eigenvalues, 5e-5)
    expected = []
    for _ in range(24):
        scalars = 2 * scalars - eigenvalues * scalars**2
        expected.append(np.linalg.norm(coefficients * (1 / eigenvalues - scalars)))
    measured = errors_of("schulz_paper", SMALL, 24)
    # The floor of float32 is far below: the allowance is 1e-5 of ||A^-1 v||.
    allowance = float(1e-5 * np.linalg.norm(coefficients / eigenvalues))
    np.testing.assert_allclose(measured, expected, rtol=2e-3, atol=allowance)


def test_the_reference_is_the_float64_solution_for_the_float32_matrix() -> None:
    prepared = PreparedProblem.draw(SMALL)
    assert prepared.matrix.dtype == torch.float32
    expected = np.linalg.solve(prepared.matrix.double().numpy(), prepared.vector.double().numpy())
    np.testing.assert_allclose(prepared.reference.numpy(), expected, rtol=1e-10)


def test_chebyshev_scaling_needs_three_quarters_of_the_iterations_of_plain_schulz_at_most() -> None:
    singular_but_for_the_damping = SyntheticProblem(dim=40, samples=10, damping=0.01, seed=3)
    eigenvalues, coefficients = eigenbasis(singular_but_for_the_damping)
    reached = 1e-4 * np.linalg.norm(coefficients / eigenvalues)
    needed = {}
    for method in ("schulz", "chebyshev"):
        needed[method] = np.flatnonzero(errors_of(method, singular_but_for_the_damping, 40) < reached)[0] + 1
    # Condition number about 900: the specification's budgets are 14 to 16 products, two an iteration, and 20 to 26.
    assert needed["chebyshev"] <= 8
    assert needed["chebyshev"] <= 0.75 * needed["schulz"], needed


def test_no_tolerance_ends_a_solver_before_the_floor_of_its_arithmetic() -> None:
    gentle = SyntheticProblem(dim=10, samples=2000, damping=0.01, seed=3)
    eigenvalues, coefficients = eigenbasis(gentle)
    norm = np.linalg.norm(coefficients / eigenvalues)
    for method in ("sor", "cg", "gmres", "neumann"):
        assert errors_of(method, gentle, 40)[-1] < 4e-7 * norm, method


def test_lissa_follows_the_truncated_neumann_series_of_the_scaled_matrix() -> None:
    eigenvalues, coefficients = eigenbasis(SMALL)
    scale = np.linalg.norm(eigenvalues) + 1
    expected = [
        np.linalg.norm(coefficients / eigenvalues * (1 - eigenvalues / scale) ** (step + 1)) for step in range(1, 41)
    ]
    np.testing.assert_allclose(errors_of("lissa", SMALL, 40), expected, rtol=1e-4)


def test_the_neumann_series_diverges_where_an_eigenvalue_exceeds_two_and_converges_below() -> None:
    steep = SyntheticProblem(dim=40, samples=20, damping=0.01, seed=3)
    eigenvalues, coefficients = eigenbasis(steep)
    assert eigenvalues.max() > 2
    points = CONVERGENCE_METHODS["neumann"](PreparedProblem.draw(steep), 40)
    assert (points[0].diverged, points[-1].diverged) == (False, True)
    expected = [
        np.linalg.norm(coefficients / eigenvalues * (1 - eigenvalues) ** (step + 1))
        for step in range(1, len(points) + 1)
    ]
    assert expected[-1] > 1e4 * expected[0]
    np.testing.assert_allclose([point.error_l2 for point in points], expected, rtol=1e-3)
    gentle = SyntheticProblem(dim=10, samples=2000, damping=0.01, seed=3)
    eigenvalues, coefficients = eigenbasis(gentle)
    assert eigenvalues.max() < 2
    expected = [np.linalg.norm(coefficients / eigenvalues * (1 - eigenvalues) ** (step + 1)) for step in range(1, 7)]
    np.testing.assert_allclose(errors_of("neumann", gentle, 6), expected, rtol=1e-4, atol=3e-7)


def test_successive_over_relaxation_equals_a_loop_over_the_unknowns() -> None:
    problem = SyntheticProblem(dim=12, samples=30, damping=0.01, seed=1)
    matrix, vector = problem.matrix().double().numpy(), problem.vector().double().numpy()
    solution, expected, x = np.linalg.solve(matrix, vector), [], np.zeros(12)
    for _ in range(10):
        for row in range(12):
            others = matrix[row] @ x - matrix[row, row] * x[row]
            x[row] = 0.5 * x[row] + 0.5 * (vector[row] - others) / matrix[row, row]
        expected.append(np.linalg.norm(solution - x))
    np.testing.assert_allclose(errors_of("sor", problem, 10), expected, rtol=1e-4)


def test_a_damping_that_float32_cannot_hold_is_refused_in_one_line() -> None:
    problem = SyntheticProblem(dim=60, samples=5, damping=1e-9, seed=1)
    with pytest.raises(InputError, match=r"^damping: 1e-09 .*float32 is not positive definite.*$"):
        PreparedProblem.draw(problem)


def test_krylov_methods_are_exact_after_as_many_steps_as_unknowns_and_stay_so() -> None:
    problem = SyntheticProblem(dim=8, samples=200, damping=0.01, seed=1)
    for method in ("cg", "gmres"):
        errors = errors_of(method, problem, 40)
        assert len(errors) == 40
        assert errors[0] > 1e-2
        assert errors[8:].max() < 1e-4


def test_datainf_is_the_mean_of_rank_one_inverses() -> None:
    problem = SyntheticProblem(dim=12, samples=50, damping=0.01, seed=1, chunk_rows=16)
    vector = problem.vector().double().numpy()
    total = np.zeros(12)
    for sample in torch.cat(list(problem.sample_chunks())).double().numpy():
        total += np.linalg.solve(np.outer(sample, sample) + 0.01 * np.eye(12), vector) / 50
    expected = np.linalg.norm(np.linalg.solve(problem.matrix().double().numpy(), vector) - total)
    (measured,) = errors_of("datainf", problem, 40)
    assert measured == pytest.approx(expected, rel=1e-4)


def test_schulz_at_the_published_size_falls_where_the_published_curve_falls() -> None:
    problem = SyntheticProblem(dim=512, samples=200, damping=0.01, seed=11)
    errors = errors_of("schulz_paper", problem, 40)
    # Published at iterations 1, 20, 22, 24 and then flat: 1747, 1034, 214.5, 0.375, 0.05 (d = 512, N = 200). The size
    # of ||A^-1 v|| is that of 312 coefficients over 0.01, whose spread over draws is 4 %; ratios hardly depend on it.
    assert errors[0] == pytest.approx(1747, rel=0.15)
    ratios = errors / errors[0]
    assert ratios[9] > 0.998
    assert ratios[19] == pytest.approx(1034 / 1747, rel=0.01)
    assert ratios[21] == pytest.approx(214.5 / 1747, rel=0.02)
    assert ratios[23] == pytest.approx(0.375 / 1747, rel=0.25)
    assert ratios[26:].max() < 3 * 0.05 / 1747


def test_lissa_at_the_published_size_falls_as_slowly_as_the_published_curve() -> None:
    problem = SyntheticProblem(dim=512, samples=12800, damping=0.01, seed=11)
    errors = errors_of("lissa", problem, 40)
    assert errors[0] == pytest.approx(22.15, rel=0.15)
    assert errors[9] / errors[0] == pytest.approx(15.64 / 22.15, rel=0.01)
    assert errors[39] / errors[0] == pytest.approx(5.259 / 22.15, rel=0.03)


def test_the_table_holds_every_iteration_of_every_method_and_one_row_for_a_direct_one(table: pd.DataFrame) -> None:
    assert list(table.columns) == COLUMNS
    assert table[["method", "samples"]].drop_duplicates().values.tolist() == [
        [method, samples] for samples in (20, 400) for method in CONVERGENCE_METHODS
    ]
    for (method, _), rows in table.groupby(["method", "samples"]):
        if method in DIRECT:
            assert rows["iteration"].isna().tolist() == [True]
        else:
            assert rows["iteration"].tolist() == list(range(1, len(rows) + 1))
            assert len(rows) == 40 or rows["status"].iloc[-1] == "diverged"
    assert set(table["status"]) == {"ok", "diverged"}
    assert set(table["dim"]) == {40}
    assert set(table["seed"]) == {3}
    assert set(table["damping"]) == {0.01}
    missing = table[table["error_l2"].isna()]
    assert set(missing["status"]) <= {"diverged"}


def test_absolute_and_relative_errors_differ_by_the_norm_of_the_solution(table: pd.DataFrame) -> None:
    for samples in (20, 400):
        eigenvalues, coefficients = eigenbasis(SyntheticProblem(40, samples, 0.01, 3))
        rows = table[(table["samples"] == samples) & table["error_l2"].notna()]
        norm = np.linalg.norm(coefficients / eigenvalues)
        np.testing.assert_allclose(rows["error_l2"], norm * rows["error_relative"], rtol=1e-5)


def test_only_the_neumann_series_diverges_and_direct_solves_reach_the_floor_of_float32(table: pd.DataFrame) -> None:
    assert set(table.loc[table["status"] == "diverged", "method"]) == {"neumann"}
    last = table.groupby(["samples", "method"])["error_relative"].last()
    for method in ("cholesky", "inv", "schulz_paper", "schulz", "chebyshev", "cg", "gmres"):
        assert last[400, method] < 1e-4
    assert last[20, "cholesky"] < 1e-3
    assert last[400, "lissa"] > 10 * last[400, "schulz"]


def test_a_cell_of_the_grid_does_not_depend_on_the_other_cells(tmp_path: Path, table: pd.DataFrame) -> None:
    out = tmp_path / "one.csv"
    study(out, dim=40, samples=(400,), seed=3, methods=("sor",))
    alone = pd.read_csv(out)["error_l2"].to_numpy()
    among = table[(table["samples"] == 400) & (table["method"] == "sor")]["error_l2"].to_numpy()
    assert (alone == among).all()


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("first", 11), ("second", 11), ("third", 12)):
        study(tmp_path / name, dim=20, samples=(10, 50), iterations=5, seed=seed)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert (tmp_path / "first").read_bytes() != (tmp_path / "third").read_bytes()
    header, row = (tmp_path / "first").read_text().splitlines()[:2]
    assert header == "method,dim,samples,damping,seed,iteration,error_l2,error_relative,status"
    assert row.startswith("schulz_paper,20,10,0.01,11,1,")
    assert row.endswith(",ok")


def test_there_is_a_curve_for_every_solver_that_settings_know() -> None:
    assert tuple(CONVERGENCE_METHODS) == CONVERGENCE_SOLVERS


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"dim": 0}, "dim"),
        ({"samples": (200, 200)}, "samples"),
        ({"damping": 0.0}, "damping"),
        ({"methods": ()}, "methods"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused_by_name(change: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        SimulateConvergence(**{"dim": 8, "seed": 1, "out": "x", **change})
