from pathlib import Path

import pandas as pd
import pytest
import torch

from hyperinf.errors import InputError
from hyperinf.simulation import timing
from hyperinf.simulation.timing import TIMING_METHODS, TimingConfig, run_timing, timing_matrix

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("timing") / "timing.csv"
    run_timing(TimingConfig(dims=(4, 24), repeats=3, samples=200, device="cpu"), out)
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
    assert set(table["threads"]) == {torch.get_num_threads()}


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
    config = TimingConfig(dims=(3,), samples=10, damping=0.1, seed=2)
    problem = timing.SyntheticProblem(3, 10, 0.1, 2)
    expected = 0.1 * torch.eye(3)
    for sample in torch.cat(list(problem.sample_chunks())):
        expected += torch.outer(sample, sample)
    torch.testing.assert_close(timing_matrix(config, 3, CPU), expected)


def test_the_published_loop_starts_at_5e_5_times_the_identity() -> None:
    matrix = torch.tensor([[300.0, 40.0], [40.0, 200.0]])
    expected = 1e-4 * torch.eye(2) - 2.5e-9 * matrix
    torch.testing.assert_close(timing.published_schulz(matrix, steps=1).x, expected)


def test_the_number_of_threads_asked_for_is_used_and_recorded(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        run_timing(
            TimingConfig(dims=(4,), methods=("inv",), samples=8, device="cpu", threads=2), tmp_path / "timing.csv"
        )
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": ()}, "dims: empty, at least one whole number expected"),
        ({"dims": (16, 0)}, "dims: 0 given, a whole number of at least 1 expected"),
        ({"methods": ()}, "methods: empty, at least one of "),
        ({"methods": ("lu",)}, "methods: 'lu' given, one of cholesky, cholesky_solve, inv, "),
        ({"repeats": 0}, "repeats: 0 given, a whole number of at least 1 expected"),
        ({"damping": 0.0}, "damping: 0.0 given, a positive finite number expected"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused_in_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        TimingConfig(**change)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "tpu"}, "device: 'tpu' given, one of auto, cpu, cuda expected"),
        pytest.param(
            {"device": "cuda"},
            "device: 'cuda' given, but this machine's torch finds no CUDA device; use auto or cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device"),
        ),
        ({"threads": 0}, "threads: 0 given, a whole number of at least 1 expected"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        run_timing(TimingConfig(dims=(4,), samples=8, **change), tmp_path / "timing.csv")  # type: ignore[arg-type]
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []
