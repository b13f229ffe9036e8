from pathlib import Path

import pandas as pd
import pytest
import torch

from hyperinf.settings.simulation import TIMED_SOLVERS, TimingSettings
from hyperinf.settings.stages import SimulateTiming
from hyperinf.simulation import timing
from hyperinf.simulation.timing import TIMING_METHODS, simulate_timing, timing_matrix

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("timing") / "timing.csv"
    simulate_timing(SimulateTiming(dims=(4, 24), repeats=3, samples=200, device="cpu", out=str(out)))
    return pd.read_csv(out)


def test_every_repeat_of_every_method_at_every_dimension_is_a_row(table: pd.DataFrame) -> None:
    assert list(table.columns) == [
        "method",
        "dim",
        "device",
        "dtype",
        "threads",
        "repeat",
        "seconds",
        "error_relative",
        "matmuls",
    ]
    assert list(zip(table["dim"], table["method"], table["repeat"])) == [
        (dim, method, repeat) for dim in (4, 24) for method in TIMING_METHODS for repeat in range(3)
    ]
    assert (table["seconds"] > 0).all()
    assert set(table["device"]) == {"cpu"}
    assert set(table["dtype"]) == {"float32"}
    assert set(table["threads"]) == {1}


def test_every_method_inverts_the_matrix_that_it_is_timed_on(table: pd.DataFrame) -> None:
    # 20 steps from 5e-5 I on eigenvalues near 200 have converged; 1e-3 is the library's default tolerance.
    assert (table["error_relative"] < 1e-3).all()
    exact = table[table["method"].isin(["cholesky", "cholesky_solve", "inv"])]
    assert (exact["error_relative"] < 1e-6).all()


def test_products_are_counted_for_iterations_and_left_empty_for_factorisations(table: pd.DataFrame) -> None:
    matmuls = table.groupby("method")["matmuls"].max()
    assert matmuls[["cholesky", "cholesky_solve", "inv"]].isna().all()
    assert matmuls["schulz_paper_20"] == 40
    assert matmuls["schulz_paper_30"] == 60
    assert 0 < matmuls["chebyshev"] < 40
    assert 0 < matmuls["cg"] <= 24


def test_the_matrix_is_the_published_sum_of_outer_products() -> None:
    settings = TimingSettings(dims=(3,), samples=10, damping=0.1, seed=2)
    problem = timing.SyntheticProblem(3, 10, 0.1, 2)
    expected = 0.1 * torch.eye(3)
    for sample in torch.cat(list(problem.sample_chunks())):
        expected += torch.outer(sample, sample)
    torch.testing.assert_close(timing_matrix(settings, 3, CPU), expected)


def test_the_published_loop_starts_at_5e_5_times_the_identity() -> None:
    matrix = torch.tensor([[300.0, 40.0], [40.0, 200.0]])
    expected = 1e-4 * torch.eye(2) - 2.5e-9 * matrix
    torch.testing.assert_close(timing.published_schulz(matrix, steps=1).x, expected)


def test_the_number_of_threads_asked_for_is_used_and_recorded(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = {"dims": (4,), "methods": ("inv",), "samples": 8}
        simulate_timing(SimulateTiming(**one, device="cpu", threads=2, out=str(tmp_path / "timing.csv")))
        assert torch.get_num_threads() == 2
        assert set(pd.read_csv(tmp_path / "timing.csv")["threads"]) == {2}
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("slow", "calls"), [(0.0, 3), (60.0, 4)])
def test_the_first_call_counts_only_where_it_is_slow(monkeypatch: pytest.MonkeyPatch, slow: float, calls: int) -> None:
    monkeypatch.setattr(timing, "COUNTS_WHEN_SLOWER", slow)
    seen = []

    def method(matrix: torch.Tensor) -> timing.Inverted:
        seen.append(1)
        return timing.Inverted(matrix)

    assert len(timing.repeated(method, torch.eye(2), 3)) == 3
    assert len(seen) == calls


def test_there_is_a_way_to_time_every_solver_that_settings_know() -> None:
    assert tuple(TIMING_METHODS) == TIMED_SOLVERS
