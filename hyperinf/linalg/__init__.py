"""Inverses of symmetric positive definite matrices by matrix products, and the solvers they are compared with."""

from hyperinf.linalg.bounds import SpectrumBounds, column_bound, norm_bound, spectrum_bounds
from hyperinf.linalg.hyperpower import hyperpower_inverse
from hyperinf.linalg.result import ConvergenceError, ConvergenceWarning, InverseResult
from hyperinf.linalg.solvers import (
    SOLVERS,
    Solver,
    SolveResult,
    cholesky,
    conjugate_gradient,
    datainf_inverse,
    gmres,
    lissa,
    lu_inverse,
    neumann,
    refine_solution,
    solve_reference,
    sor,
)

__all__ = [
    "SOLVERS",
    "ConvergenceError",
    "ConvergenceWarning",
    "InverseResult",
    "SolveResult",
    "Solver",
    "SpectrumBounds",
    "cholesky",
    "column_bound",
    "conjugate_gradient",
    "datainf_inverse",
    "gmres",
    "hyperpower_inverse",
    "lissa",
    "lu_inverse",
    "neumann",
    "norm_bound",
    "refine_solution",
    "solve_reference",
    "sor",
    "spectrum_bounds",
]
