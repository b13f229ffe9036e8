from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hyperinf.settings.simulation import FisherSettings
from hyperinf.settings.stages import SimulateFisher
from hyperinf.simulation.fisher import (
    CASES,
    CORRELATED_COLUMNS,
    CORRELATED_ROWS,
    INDEPENDENT,
    fisher_pair,
    gradient_chunks,
    population_pair,
    relative_distance,
    simulate_fisher,
    summarise,
)

SMALL = FisherSettings(rows=6, columns=5, samples=700, seed=4)


def square(samples: int) -> FisherSettings:
    return FisherSettings(rows=4, columns=4, samples=samples, seed=3)


def metrics_of(config: FisherSettings, case: object) -> dict[str, float]:
    table = summarise(config, case, fisher_pair(config, case))
    return dict(zip(table["metric"], table["value"]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_matrices_equal_a_loop_over_samples_rows_and_columns(case: object) -> None:
    config = FisherSettings(rows=3, columns=2, samples=300, seed=9)
    gradients = np.concatenate([chunk.numpy() for chunk in gradient_chunks(config, case)])
    fim, gfim = np.zeros((6, 6)), np.zeros((6, 6))
    for gradient in gradients:
        for a in range(3):
            for b in range(2):
                for c in range(3):
                    for e in range(2):
                        fim[a * 2 + b, c * 2 + e] += gradient[a, b] * gradient[c, e] / 300
                        if a == c:
                            gfim[a * 2 + b, c * 2 + e] += sum(row[b] * row[e] for row in gradient) / 3 / 300
    pair = fisher_pair(config, case)
    np.testing.assert_allclose(pair.fim.numpy(), fim, rtol=0, atol=1e-12)
    np.testing.assert_allclose(pair.gfim.numpy(), gfim, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_diagonal_blocks_of_the_fim_average_to_gfim_over_r_whatever_the_gradients(case: object) -> None:
    pair = fisher_pair(SMALL, case)
    blocks = [pair.fim[a * 5 : a * 5 + 5, a * 5 : a * 5 + 5] for a in range(6)]
    torch.testing.assert_close(torch.stack(blocks).mean(0), pair.gfim[:5, :5])


def test_independent_gradients_have_unit_diagonals_and_off_diagonals_of_the_size_that_sampling_leaves() -> None:
    config = FisherSettings(rows=10, columns=10, samples=2000, seed=11)
    values = metrics_of(config, INDEPENDENT)
    # A diagonal entry of the FIM has standard error sqrt(2/N); their mean over rd = 100 entries a tenth of it.
    assert abs(values["fim_diagonal_mean"] - 1) < 5 * (2 / 2000 / 100) ** 0.5
    assert values["gfim_diagonal_mean"] == pytest.approx(values["fim_diagonal_mean"], rel=1e-12)
    # Off-diagonal entries are normal with variance 1/N (FIM) and 1/(N r) (GFIM / r): E|x| = sqrt(2 / pi) sigma.
    expected = (2 / np.pi / 2000) ** 0.5
    assert values["fim_off_block_mean_abs"] == pytest.approx(expected, rel=0.1)
    assert values["fim_in_block_mean_abs"] == pytest.approx(expected, rel=0.2)
    assert values["gfim_in_block_mean_abs"] == pytest.approx(expected / 10**0.5, rel=0.35)
    assert values["gfim_off_block_mean_abs"] == 0
    # ||FIM - I||_F^2 = ((rd)^2 + rd)/N in expectation, and ||I||_F^2 = rd.
    assert values["sampling_error_fim"] == pytest.approx((101 / 2000) ** 0.5, rel=0.1)
    assert values["relative_frobenius_population"] == 0


def test_the_approximation_is_exact_for_correlated_columns_and_fails_for_correlated_rows() -> None:
    columns = population_pair(SMALL, CORRELATED_COLUMNS)
    assert relative_distance(columns.gfim, columns.fim) == 0
    rows = population_pair(SMALL, CORRELATED_ROWS)
    # ||S||_F^2 = sum over the 6 x 6 entries of 0.25^|i-j|; only its trace survives in the GFIM.
    norm = 6 + 2 * sum((6 - lag) * 0.25**lag for lag in range(1, 6))
    assert relative_distance(rows.gfim, rows.fim) == pytest.approx((1 - 6 / norm) ** 0.5, rel=1e-12)


def test_more_samples_close_the_gap_for_independent_rows_and_leave_it_for_correlated_ones() -> None:
    few, many = square(200), square(20000)
    assert metrics_of(many, CORRELATED_COLUMNS)["relative_frobenius"] < 0.05
    assert metrics_of(few, CORRELATED_COLUMNS)["relative_frobenius"] > 0.15
    correlated = metrics_of(many, CORRELATED_ROWS)
    assert correlated["relative_frobenius"] == pytest.approx(correlated["relative_frobenius_population"], rel=0.05)
    assert correlated["relative_frobenius_population"] > 0.5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_matrices_tend_to_the_limits_that_the_covariances_give(case: object) -> None:
    values = metrics_of(square(20000), case)
    # ||FIM - limit||_F^2 / ||limit||_F^2 = (tr^2 / ||limit||_F^2 + 1) / N, at most (16 + 1) / 20000 here.
    assert values["sampling_error_fim"] < 0.04
    assert values["sampling_error_gfim"] < 0.04


def test_the_study_writes_float32_matrices_and_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("first", "second"):
        simulate_fisher(SimulateFisher.of(SMALL, out=str(tmp_path / name)))
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == [
        "correlated_rows_fim.npy",
        "correlated_rows_gfim.npy",
        "fim.npy",
        "gfim.npy",
        "summary.csv",
        "summary.info.json",
    ]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    fim = np.load(tmp_path / "first" / "fim.npy", allow_pickle=False)
    assert fim.dtype == np.float32
    assert fim.shape == (30, 30)
    np.testing.assert_allclose(fim, fisher_pair(SMALL, INDEPENDENT).fim.numpy(), rtol=1e-6, atol=1e-7)
    summary = pd.read_csv(tmp_path / "first" / "summary.csv")
    assert list(summary.columns) == ["case", "rows", "columns", "samples", "seed", "metric", "value"]
    assert summary.groupby("case", sort=False).size().to_dict() == {case.name: 10 for case in CASES}
    assert summary["value"].notna().all()
