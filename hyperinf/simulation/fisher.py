"""GFIM against FIM: is ``FIM = I_r (x) GFIM / r`` a good approximation, and when is it not?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hyperinf.artifacts.files import atomic_file
from hyperinf.simulation.checks import check_counts, check_seed
from hyperinf.simulation.record import write_record

# The correlation of neighbours in the AR(1) covariance rho^|i-j| of the cases that are not independent.
NEIGHBOUR_CORRELATION = 0.5
# 256 gradients of 1600 entries are 1.6 MiB; the study never holds all N.
CHUNK_SAMPLES = 256


@dataclass(frozen=True)
class FisherConfig:
    """The heat map study: N gradient matrices of r rows and d columns.

    Attributes:
        rows: r, at least 1; published 40.
        columns: d, at least 1; published 40.
        samples: N, at least 1; published 2000.
        seed: chooses the draws; not negative.
    """

    rows: int = 40
    columns: int = 40
    samples: int = 2000
    seed: int = 11

    def __post_init__(self) -> None:
        check_counts(rows=self.rows, columns=self.columns, samples=self.samples)
        check_seed(self.seed)


@dataclass(frozen=True)
class GradientCase:
    """A distribution of gradients ``g = S^(1/2) z C^(1/2)``, z standard normal of shape (r, d).

    S is the covariance of the rows, C that of the columns, so that ``E vec(g) vec(g)^T = S (x) C`` with rows laid
    out one after the other. GFIM sees ``E g^T g = tr(S) C`` only: ``I (x) GFIM / r`` equals the FIM exactly when S
    is a multiple of I.

    Attributes:
        name: what the summary and the file names call it.
        row_correlation: rho of S, ``S_ij = rho^|i-j|``.
        column_correlation: rho of C.
    """

    name: str
    row_correlation: float
    column_correlation: float


INDEPENDENT = GradientCase("independent", 0.0, 0.0)
CORRELATED_COLUMNS = GradientCase("correlated_columns", 0.0, NEIGHBOUR_CORRELATION)
CORRELATED_ROWS = GradientCase("correlated_rows", NEIGHBOUR_CORRELATION, 0.0)
# The published case comes first; the second keeps the identity with a GFIM that is not a multiple of I; the third
# breaks the assumption behind it.
CASES = (INDEPENDENT, CORRELATED_COLUMNS, CORRELATED_ROWS)


class FisherPair(NamedTuple):
    """Both sides of the approximation, ``Tensor[rd, rd]`` each, float64."""

    fim: Tensor
    gfim: Tensor


def neighbour_covariance(order: int, correlation: float) -> Tensor:
    """The covariance ``rho^|i-j|`` with unit variances: ``Tensor[order, order]``, float64."""
    index = torch.arange(order, dtype=torch.float64)
    return torch.pow(torch.tensor(correlation, dtype=torch.float64), (index[:, None] - index[None, :]).abs())


def gradient_chunks(config: FisherConfig, case: GradientCase) -> Iterator[Tensor]:
    """Yield the case's gradients ``Tensor[c, r, d]``, float64; every case colours the same standard normal draws."""
    draws = np.random.Generator(np.random.PCG64(np.random.SeedSequence((config.seed, config.rows, config.columns))))
    row_factor = torch.linalg.cholesky(neighbour_covariance(config.rows, case.row_correlation))
    column_factor = torch.linalg.cholesky(neighbour_covariance(config.columns, case.column_correlation))
    for start in range(0, config.samples, CHUNK_SAMPLES):
        count = min(CHUNK_SAMPLES, config.samples - start)
        normal = torch.from_numpy(draws.standard_normal((count, config.rows, config.columns)))
        yield row_factor @ normal @ column_factor.T


def fisher_pair(config: FisherConfig, case: GradientCase) -> FisherPair:
    """Accumulate FIM ``1/N sum vec(g) vec(g)^T`` and ``I_r (x) GFIM / r``, ``GFIM = 1/N sum g^T g``.

    vec lays the rows one after the other, so that the d x d block (a, b) of the FIM is ``E g_a^T g_b`` for the rows
    a and b; the diagonal blocks' mean is ``GFIM / r`` by definition. The published figure takes ``g g^T`` instead of
    ``g^T g``: the same for its square, independent gradients, but not this layout's block in general.
    """
    size = config.rows * config.columns
    fim = torch.zeros(size, size, dtype=torch.float64)
    gfim = torch.zeros(config.columns, config.columns, dtype=torch.float64)
    for gradients in gradient_chunks(config, case):
        flat = gradients.reshape(len(gradients), size)
        stacked = gradients.reshape(-1, config.columns)
        fim.addmm_(flat.T, flat)
        gfim.addmm_(stacked.T, stacked)
    identity = torch.eye(config.rows, dtype=torch.float64)
    return FisherPair(fim / config.samples, torch.kron(identity, gfim / (config.samples * config.rows)))


def population_pair(config: FisherConfig, case: GradientCase) -> FisherPair:
    """What both sides tend to as N grows: ``S (x) C`` and ``I (x) tr(S)/r C``; here ``tr(S)/r = 1``."""
    rows = neighbour_covariance(config.rows, case.row_correlation)
    columns = neighbour_covariance(config.columns, case.column_correlation)
    return FisherPair(torch.kron(rows, columns), torch.kron(torch.eye(config.rows, dtype=torch.float64), columns))


def relative_distance(approximation: Tensor, target: Tensor) -> float:
    """``||approximation - target||_F / ||target||_F``."""
    return float(torch.linalg.norm(approximation - target) / torch.linalg.norm(target))


def summarise(config: FisherConfig, case: GradientCase, pair: FisherPair) -> pd.DataFrame:
    """One row per figure that describes the case: columns case, rows, columns, samples, seed, metric, value.

    The metrics: ``relative_frobenius`` between the two sampled matrices; ``relative_frobenius_population`` between
    their limits as N grows, the error of the approximation itself; ``sampling_error_fim`` and
    ``sampling_error_gfim``, how far N samples leave each from its own limit; and for each matrix the mean of the
    diagonal, and the mean absolute value off the diagonal inside the d x d diagonal blocks and outside them.
    """
    population = population_pair(config, case)
    values = {
        "relative_frobenius": relative_distance(pair.gfim, pair.fim),
        "relative_frobenius_population": relative_distance(population.gfim, population.fim),
        "sampling_error_fim": relative_distance(pair.fim, population.fim),
        "sampling_error_gfim": relative_distance(pair.gfim, population.gfim),
    }
    for name, matrix in pair._asdict().items():
        values |= {f"{name}_{region}": value for region, value in _regions(matrix, config).items()}
    constants = {
        "case": case.name,
        "rows": config.rows,
        "columns": config.columns,
        "samples": config.samples,
        "seed": config.seed,
    }
    return pd.DataFrame([constants | {"metric": metric, "value": value} for metric, value in values.items()])


def run_fisher_heatmap(config: FisherConfig, out: Path) -> None:
    """Write the study's matrices and summary into the folder ``out``.

    ``fim.npy`` and ``gfim.npy`` are the published case (independent entries); ``correlated_rows_fim.npy`` and
    ``correlated_rows_gfim.npy`` the case in which the approximation fails. All are float32, ``(rd, rd)``, the GFIM
    side being ``I_r (x) GFIM / r``. ``summary.csv`` describes every case (see ``summarise``).
    """
    summaries = []
    for case in CASES:
        pair = fisher_pair(config, case)
        summaries.append(summarise(config, case, pair))
        if case in (INDEPENDENT, CORRELATED_ROWS):
            prefix = "" if case is INDEPENDENT else f"{case.name}_"
            for name, matrix in pair._asdict().items():
                with atomic_file(out / f"{prefix}{name}.npy") as temporary:
                    np.save(temporary, matrix.to(torch.float32).numpy(), allow_pickle=False)
    with atomic_file(out / "summary.csv") as temporary:
        pd.concat(summaries).to_csv(temporary, index=False, lineterminator="\n")
    write_record(out / "summary.csv", config, "cpu")


def _regions(matrix: Tensor, config: FisherConfig) -> dict[str, float]:
    """Mean of the diagonal; mean |entry| off it, inside and outside the diagonal blocks (0 where there is none)."""
    size = config.rows * config.columns
    block_sums = matrix.abs().reshape(config.rows, config.columns, config.rows, config.columns).sum((1, 3))
    in_blocks = float(block_sums.trace() - matrix.diagonal().abs().sum())
    off_blocks = float(block_sums.fill_diagonal_(0).sum())
    in_block_count = size * (config.columns - 1)
    off_block_count = size * (size - config.columns)
    return {
        "diagonal_mean": float(matrix.diagonal().mean()),
        "in_block_mean_abs": in_blocks / in_block_count if in_block_count else 0.0,
        "off_block_mean_abs": off_blocks / off_block_count if off_block_count else 0.0,
    }
