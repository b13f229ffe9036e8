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
from hyperinf.settings.simulation import FisherSettings
from hyperinf.settings.stages import SimulateFisher
from hyperinf.simulation.record import write_record

# The correlation of neighbours in the AR(1) covariance rho^|i-j| of the cases that are not independent.
NEIGHBOUR_CORRELATION = 0.5
# 256 gradients of 1600 entries are 1.6 MiB; the study never holds all N.
CHUNK_SAMPLES = 256


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


def gradient_chunks(settings: FisherSettings, case: GradientCase) -> Iterator[Tensor]:
    """Yield the case's gradients ``Tensor[c, r, d]``, float64; every case colours the same standard normal draws."""
    draws = np.random.Generator(
        np.random.PCG64(np.random.SeedSequence((settings.seed, settings.rows, settings.columns)))
    )
    row_factor = torch.linalg.cholesky(neighbour_covariance(settings.rows, case.row_correlation))
    column_factor = torch.linalg.cholesky(neighbour_covariance(settings.columns, case.column_correlation))
    for start in range(0, settings.samples, CHUNK_SAMPLES):
        count = min(CHUNK_SAMPLES, settings.samples - start)
        normal = torch.from_numpy(draws.standard_normal((count, settings.rows, settings.columns)))
        yield row_factor @ normal @ column_factor.T


def fisher_pair(settings: FisherSettings, case: GradientCase) -> FisherPair:
    """Accumulate FIM ``1/N sum vec(g) vec(g)^T`` and ``I_r (x) GFIM / r``, ``GFIM = 1/N sum g^T g``.

    vec lays the rows one after the other, so that the d x d block (a, b) of the FIM is ``E g_a^T g_b`` for the rows
    a and b; the diagonal blocks' mean is ``GFIM / r`` by definition. The published figure takes ``g g^T`` instead of
    ``g^T g``: the same for its square, independent gradients, but not this layout's block in general.
    """
    size = settings.rows * settings.columns
    fim = torch.zeros(size, size, dtype=torch.float64)
    gfim = torch.zeros(settings.columns, settings.columns, dtype=torch.float64)
    for gradients in gradient_chunks(settings, case):
        flat = gradients.reshape(len(gradients), size)
        stacked = gradients.reshape(-1, settings.columns)
        fim.addmm_(flat.T, flat)
        gfim.addmm_(stacked.T, stacked)
    identity = torch.eye(settings.rows, dtype=torch.float64)
    return FisherPair(fim / settings.samples, torch.kron(identity, gfim / (settings.samples * settings.rows)))


def population_pair(settings: FisherSettings, case: GradientCase) -> FisherPair:
    """What both sides tend to as N grows: ``S (x) C`` and ``I (x) tr(S)/r C``; here ``tr(S)/r = 1``."""
    rows = neighbour_covariance(settings.rows, case.row_correlation)
    columns = neighbour_covariance(settings.columns, case.column_correlation)
    return FisherPair(torch.kron(rows, columns), torch.kron(torch.eye(settings.rows, dtype=torch.float64), columns))


def relative_distance(approximation: Tensor, target: Tensor) -> float:
    """``||approximation - target||_F / ||target||_F``."""
    return float(torch.linalg.norm(approximation - target) / torch.linalg.norm(target))


def summarise(settings: FisherSettings, case: GradientCase, pair: FisherPair) -> pd.DataFrame:
    """One row per figure that describes the case: columns case, rows, columns, samples, seed, metric, value.

    The metrics: ``relative_frobenius`` between the two sampled matrices; ``relative_frobenius_population`` between
    their limits as N grows, the error of the approximation itself; ``sampling_error_fim`` and
    ``sampling_error_gfim``, how far N samples leave each from its own limit; and for each matrix the mean of the
    diagonal, and the mean absolute value off the diagonal inside the d x d diagonal blocks and outside them.
    """
    population = population_pair(settings, case)
    values = {
        "relative_frobenius": relative_distance(pair.gfim, pair.fim),
        "relative_frobenius_population": relative_distance(population.gfim, population.fim),
        "sampling_error_fim": relative_distance(pair.fim, population.fim),
        "sampling_error_gfim": relative_distance(pair.gfim, population.gfim),
    }
    for name, matrix in pair._asdict().items():
        values |= {f"{name}_{region}": value for region, value in _regions(matrix, settings).items()}
    constants = {
        "case": case.name,
        "rows": settings.rows,
        "columns": settings.columns,
        "samples": settings.samples,
        "seed": settings.seed,
    }
    return pd.DataFrame([constants | {"metric": metric, "value": value} for metric, value in values.items()])


def simulate_fisher(settings: SimulateFisher) -> None:
    """Write the study's matrices and summary into the folder ``settings.out``.

    ``fim.npy`` and ``gfim.npy`` are the published case (independent entries); ``correlated_rows_fim.npy`` and
    ``correlated_rows_gfim.npy`` the case in which the approximation fails. All are float32, ``(rd, rd)``, the GFIM
    side being ``I_r (x) GFIM / r``. ``summary.csv`` describes every case (see ``summarise``).
    """
    out, summaries = Path(settings.out), []
    for case in CASES:
        pair = fisher_pair(settings, case)
        summaries.append(summarise(settings, case, pair))
        if case in (INDEPENDENT, CORRELATED_ROWS):
            prefix = "" if case is INDEPENDENT else f"{case.name}_"
            for name, matrix in pair._asdict().items():
                with atomic_file(out / f"{prefix}{name}.npy") as temporary:
                    np.save(temporary, matrix.to(torch.float32).numpy(), allow_pickle=False)
    with atomic_file(out / "summary.csv") as temporary:
        pd.concat(summaries).to_csv(temporary, index=False, lineterminator="\n")
    write_record(out / "summary.csv", settings, "cpu")


def _regions(matrix: Tensor, settings: FisherSettings) -> dict[str, float]:
    """Mean of the diagonal; mean |entry| off it, inside and outside the diagonal blocks (0 where there is none)."""
    size = settings.rows * settings.columns
    block_sums = matrix.abs().reshape(settings.rows, settings.columns, settings.rows, settings.columns).sum((1, 3))
    in_blocks = float(block_sums.trace() - matrix.diagonal().abs().sum())
    off_blocks = float(block_sums.fill_diagonal_(0).sum())
    in_block_count = size * (settings.columns - 1)
    off_block_count = size * (size - settings.columns)
    return {
        "diagonal_mean": float(matrix.diagonal().mean()),
        "in_block_mean_abs": in_blocks / in_block_count if in_block_count else 0.0,
        "off_block_mean_abs": off_blocks / off_block_count if off_block_count else 0.0,
    }
