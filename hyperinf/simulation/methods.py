"""The methods of the convergence study, by name: each turns a prepared problem into its error curve."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.linalg import (
    SOLVERS,
    ConvergenceWarning,
    datainf_inverse,
    hyperpower_inverse,
    neumann,
    solve_reference,
)
from hyperinf.simulation.curves import CurvePoint, ErrorRecorder
from hyperinf.simulation.problem import SyntheticProblem


@dataclass(frozen=True, eq=False)
class PreparedProblem:
    """A problem of the study with what all methods share, so that A is built and solved once.

    Attributes:
        drawn: where A and v come from.
        matrix: A, ``Tensor[d, d]``, float32.
        vector: v, ``Tensor[d]``, float32.
        reference: ``A^-1 v``, ``Tensor[d]``, float64, solved in float64 with the float32 A.
    """

    drawn: SyntheticProblem
    matrix: Tensor
    vector: Tensor
    reference: Tensor

    @classmethod
    def draw(cls, drawn: SyntheticProblem, device: torch.device | str = "cpu") -> PreparedProblem:
        """Draw A and v, move them to ``device``, and solve.

        Raises:
            InputError: the damping is lost in the rounding of the float32 A.
        """
        matrix, vector = drawn.matrix(device), drawn.vector(device)
        try:
            return cls(drawn, matrix, vector, solve_reference(matrix, vector))
        except ValueError:
            raise InputError(
                f"damping: {drawn.damping} is too small, A in float32 is not positive definite with it "
                f"(dim {drawn.dim}, samples {drawn.samples}, seed {drawn.seed})"
            ) from None


MethodCurve = Callable[[PreparedProblem, int], list[CurvePoint]]


def hyperpower_curve(
    problem: PreparedProblem,
    iterations: int,
    method: Literal["chebyshev", "schulz"] = "schulz",
    init: Literal["auto", "paper"] = "auto",
) -> list[CurvePoint]:
    """Schulz's iteration and its scaled form; an iteration is two products of d x d matrices.

    Tolerance 0 asks for every iteration; the library still stops where rounding ends all progress, which
    it reports as a failure to reach 0: here that is the expected end, not one to warn of.
    """
    recorder = ErrorRecorder(problem.reference, problem.vector)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = hyperpower_inverse(
            problem.matrix,
            method=method,
            init=init,
            tol=0.0,
            max_iter=iterations,
            lmin=problem.drawn.damping,
            callback=recorder,
            on_fail="warn",
        )
    return recorder.curve(iterations, result.reason)


def solver_curve(problem: PreparedProblem, iterations: int, name: str) -> list[CurvePoint]:
    """The solvers that work on v alone; an iteration is one product of A with a vector (SOR: one sweep)."""
    recorder = ErrorRecorder(problem.reference)
    result = SOLVERS[name](problem.matrix, problem.vector, iterations=iterations, tol=0.0, callback=recorder)
    return recorder.curve(iterations, result.reason)


def neumann_curve(problem: PreparedProblem, iterations: int) -> list[CurvePoint]:
    """The Neumann series as the public code has it, ``sum_k (I - A)^k v``.

    Unscaled, so that it diverges where an eigenvalue of A exceeds 2; scaled it would be LiSSA with another scale.
    """
    recorder = ErrorRecorder(problem.reference)
    result = neumann(problem.matrix, problem.vector, iterations=iterations, tol=0.0, scale=1.0, callback=recorder)
    return recorder.curve(iterations, result.reason)


def datainf_point(problem: PreparedProblem, iterations: int) -> list[CurvePoint]:
    """DataInf, the mean of the samples' rank-one inverses: one number. The samples are drawn again in chunks."""
    vector, drawn = problem.vector.double(), problem.drawn
    total = torch.zeros_like(vector)
    for chunk in drawn.sample_chunks(vector.device):
        total += datainf_inverse(chunk, vector, drawn.damping) * (len(chunk) / drawn.samples)
    return direct_point(problem, total)


def factorised_point(problem: PreparedProblem, iterations: int, name: str) -> list[CurvePoint]:
    """A float32 factorisation; one that fails counts as a result that is not finite."""
    try:
        return direct_point(problem, SOLVERS[name](problem.matrix, problem.vector).x)
    except ValueError:
        return direct_point(problem, torch.full_like(problem.vector, torch.nan))


def direct_point(problem: PreparedProblem, solution: Tensor) -> list[CurvePoint]:
    """The one point of a method without iterations."""
    recorder = ErrorRecorder(problem.reference)
    return [recorder.point(None, recorder.distance(solution))]


# A study hands every method its number of iterations; the direct ones have no use for it.
CONVERGENCE_METHODS: dict[str, MethodCurve] = {
    "schulz_paper": partial(hyperpower_curve, init="paper"),
    "schulz": hyperpower_curve,
    "chebyshev": partial(hyperpower_curve, method="chebyshev"),
    "lissa": partial(solver_curve, name="lissa"),
    "neumann": neumann_curve,
    "sor": partial(solver_curve, name="sor"),
    "cg": partial(solver_curve, name="cg"),
    "gmres": partial(solver_curve, name="gmres"),
    "datainf": datainf_point,
    "cholesky": partial(factorised_point, name="cholesky"),
    "inv": partial(factorised_point, name="inv"),
}
