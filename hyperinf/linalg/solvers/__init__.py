"""Solvers of ``A x = b`` that the studies compare, behind one interface."""

from collections.abc import Mapping
from types import MappingProxyType

from hyperinf.linalg.solvers.datainf import datainf_inverse
from hyperinf.linalg.solvers.direct import cholesky, lu_inverse, refine_solution, solve_reference
from hyperinf.linalg.solvers.hyperpower import chebyshev, schulz, schulz_paper
from hyperinf.linalg.solvers.krylov import conjugate_gradient, gmres
from hyperinf.linalg.solvers.result import SolveCallback, Solver, SolveResult
from hyperinf.linalg.solvers.stationary import lissa, neumann, sor

# DataInf is not among them: it takes samples, not their matrix.
SOLVERS: Mapping[str, Solver] = MappingProxyType(
    {
        "schulz_paper": schulz_paper,
        "schulz": schulz,
        "chebyshev": chebyshev,
        "lissa": lissa,
        "neumann": neumann,
        "sor": sor,
        "cg": conjugate_gradient,
        "gmres": gmres,
        "cholesky": cholesky,
        "inv": lu_inverse,
    }
)

__all__ = [
    "SOLVERS",
    "SolveCallback",
    "SolveResult",
    "Solver",
    "chebyshev",
    "cholesky",
    "conjugate_gradient",
    "datainf_inverse",
    "gmres",
    "lissa",
    "lu_inverse",
    "neumann",
    "refine_solution",
    "schulz",
    "schulz_paper",
    "solve_reference",
    "sor",
]
