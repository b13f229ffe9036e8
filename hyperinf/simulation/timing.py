"""Time to invert against d, on one device, with every repeat recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from hyperinf.artifacts.files import atomic_file
from hyperinf.linalg import hyperpower_inverse
from hyperinf.linalg.solvers import SOLVERS
from hyperinf.runtime.devices import resolve_device, set_threads
from hyperinf.settings.simulation import TimingSettings
from hyperinf.settings.stages import SimulateTiming
from hyperinf.simulation.clock import timed
from hyperinf.simulation.problem import SyntheticProblem
from hyperinf.simulation.record import write_record

COLUMNS = ["method", "dim", "device", "dtype", "threads", "repeat", "seconds", "error_relative", "matmuls"]
# What a layer of rank 16 asks for: A^-1 applied to so many rows of gradients, not the inverse itself.
RIGHT_HAND_SIDES = 16
# The published tolerance of conjugate gradients and GMRES; both reach it on this matrix.
KRYLOV_TOLERANCE = 1e-6
# The first call of a method loads kernels and is not recorded, unless it is so slow that this cannot show.
COUNTS_WHEN_SLOWER = 1.0


class Inverted(NamedTuple):
    """What a timed method delivers: its X, and how many products of two d x d matrices it took (None: a factorisation).

    ``columns`` is how many columns of the identity X solves for; None means all of them.
    """

    x: Tensor
    matmuls: float | None = None
    columns: int | None = None


def simulate_timing(settings: SimulateTiming) -> None:
    """Time every method at every d and write one row per repeat to the CSV file ``settings.out``.

    The matrix is the published one, ``A = sum_i s_i s_i^T + damping I`` (a sum, not a mean). It is very well
    conditioned (below 4 up to d = 1024): the easiest case for every iteration.

    ``seconds`` is the time of one call on a device that was synchronised before and after; ``error_relative`` is
    ``||X - A^-1||_F / ||A^-1||_F`` against float64 (for ``cholesky_solve`` restricted to the columns it solves
    for), and ``matmuls`` the products of two d x d matrices spent, empty for factorisations.
    """
    set_threads(settings.threads)
    device = torch.device(resolve_device(settings.device))
    out = Path(settings.out)
    rows: list[dict[str, object]] = []
    for dim in settings.dims:
        matrix = timing_matrix(settings, dim, device)
        inverse = torch.linalg.inv(matrix.double())
        for method in settings.methods:
            for repeat, (outcome, seconds) in enumerate(repeated(TIMING_METHODS[method], matrix, settings.repeats)):
                rows.append(
                    {
                        "method": method,
                        "dim": dim,
                        "device": device.type,
                        "dtype": "float32",
                        "threads": settings.threads,
                        "repeat": repeat,
                        "seconds": seconds,
                        "error_relative": relative_error(outcome, inverse),
                        "matmuls": outcome.matmuls,
                    }
                )
    table = pd.DataFrame(rows, columns=COLUMNS)
    with atomic_file(out) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    write_record(out, settings, device)


def timing_matrix(settings: TimingSettings, dim: int, device: torch.device) -> Tensor:
    """The published matrix at d = ``dim``: ``Tensor[d, d]``, float32."""
    problem = SyntheticProblem(dim, settings.samples, settings.damping, settings.seed)
    matrix = problem.second_moment(device)
    matrix.diagonal().add_(settings.damping)
    return matrix


def repeated(method: Callable[[Tensor], Inverted], matrix: Tensor, repeats: int) -> list[tuple[Inverted, float]]:
    """Call ``method(matrix)`` and time it, ``repeats`` times after a first call that warms up.

    A first call that takes more than a second is its own warm-up and counts as the first repeat.
    """
    outcome, seconds = timed(partial(method, matrix), matrix.device)
    calls = [(outcome, seconds)] if seconds > COUNTS_WHEN_SLOWER else []
    while len(calls) < repeats:
        calls.append(timed(partial(method, matrix), matrix.device))
    return calls


def relative_error(outcome: Inverted, inverse: Tensor) -> float:
    """``||X - A^-1||_F / ||A^-1||_F`` over the columns solved for; ``inverse`` is float64."""
    target = inverse[..., : outcome.columns]
    return float(torch.linalg.norm(outcome.x.double() - target) / torch.linalg.norm(target))


def identity_like(matrix: Tensor) -> Tensor:
    """The identity ``Tensor[d, d]`` of the same order, dtype and device."""
    return torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def cholesky_inverse(matrix: Tensor) -> Inverted:
    """The full inverse from a Cholesky factor (LAPACK potrf and potri)."""
    return Inverted(torch.cholesky_inverse(torch.linalg.cholesky(matrix)))


def cholesky_solve(matrix: Tensor) -> Inverted:
    """``A^-1 B`` for 16 right-hand sides B, what an influence computation needs: factor and two triangular solves."""
    columns = min(RIGHT_HAND_SIDES, matrix.shape[-1])
    right = identity_like(matrix)[:, :columns]
    return Inverted(torch.cholesky_solve(right, torch.linalg.cholesky(matrix)), columns=columns)


def direct_inverse(matrix: Tensor) -> Inverted:
    """``torch.linalg.inv``: LU factorisation."""
    return Inverted(torch.linalg.inv(matrix))


def published_schulz(matrix: Tensor, steps: int) -> Inverted:
    """The public code's loop as it is: ``X <- X (2I - A X)`` from 5e-5 I, a fixed number of steps, no check."""
    identity = identity_like(matrix)
    x = 5e-5 * identity
    for _ in range(steps):
        x = x @ (2 * identity - matrix @ x)
    return Inverted(x, 2.0 * steps)


def checked_inverse(matrix: Tensor, method: Literal["chebyshev", "schulz"]) -> Inverted:
    """This library's inverse at its default tolerance, its bounds and checks included."""
    result = hyperpower_inverse(matrix, method=method)
    return Inverted(result.inverse, float(result.matmuls))


def krylov_inverse(matrix: Tensor, name: str) -> Inverted:
    """Conjugate gradients (all columns at once) or GMRES (one at a time, SciPy) applied to the identity."""
    result = SOLVERS[name](matrix, identity_like(matrix), tol=KRYLOV_TOLERANCE)
    return Inverted(result.x, result.matvecs / len(matrix))


TIMING_METHODS: dict[str, Callable[[Tensor], Inverted]] = {
    "cholesky": cholesky_inverse,
    "cholesky_solve": cholesky_solve,
    "inv": direct_inverse,
    "schulz_paper_20": partial(published_schulz, steps=20),
    "schulz_paper_30": partial(published_schulz, steps=30),
    "schulz": partial(checked_inverse, method="schulz"),
    "chebyshev": partial(checked_inverse, method="chebyshev"),
    "cg": partial(krylov_inverse, name="cg"),
    "gmres": partial(krylov_inverse, name="gmres"),
}
