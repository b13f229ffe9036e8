"""The synthetic study: solvers on A = 1/N sum s s^T + damping I, s ~ N(0, I_d)."""

from typing import Annotated

from pydantic import Field

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.types import Count, Counts, Distinct, OneOf, Positive, Seed, Seeds

CONVERGENCE_SOLVERS = (
    "schulz_paper",
    "schulz",
    "chebyshev",
    "lissa",
    "neumann",
    "sor",
    "cg",
    "gmres",
    "datainf",
    "cholesky",
    "inv",
)
TIMED_SOLVERS = (
    "cholesky",
    "cholesky_solve",
    "inv",
    "schulz_paper_20",
    "schulz_paper_30",
    "schulz",
    "chebyshev",
    "cg",
    "gmres",
)
ConvergenceSolvers = Annotated[tuple[Annotated[str, OneOf(CONVERGENCE_SOLVERS)], ...], Field(min_length=1), Distinct]
TimedSolvers = Annotated[tuple[Annotated[str, OneOf(TIMED_SOLVERS)], ...], Field(min_length=1), Distinct]


class ConvergenceSettings(Settings):
    """Error of every solver after each iteration."""

    samples: Counts = setting(
        (200, 800, 6400, 12800), help="numbers N of samples that the matrix is made of, one matrix each"
    )
    damping: Positive = setting(0.01, help="damping that is added to the diagonal of the matrix")
    iterations: Count = setting(40, help="number of iterations of every iterative solver")
    methods: ConvergenceSolvers = setting(CONVERGENCE_SOLVERS[:9], help="solvers to compare")


class FisherSettings(Settings):
    """The GFIM against the Fisher information itself, as heat maps."""

    rows: Count = setting(40, help="rows of each gradient")
    columns: Count = setting(40, help="columns of each gradient")
    samples: Count = setting(2000, help="number of gradients that are drawn")
    seed: Seed = setting(11, help="seed of all that is drawn")


class TimingSettings(Settings):
    """Seconds to invert; this job has the machine to itself."""

    dims: Counts = setting((16, 64, 256, 512, 1024), help="sides d of the d x d matrix, one matrix each")
    methods: TimedSolvers = setting(TIMED_SOLVERS, help="solvers to time; schulz_paper_20: 20 steps from 5e-5 I")
    repeats: Count = setting(3, help="number of timed runs of each solver, after one to warm up")
    seed: Seed = setting(11, help="seed of all that is drawn")
    samples: Count = setting(12800, help="number N of samples that the matrix is made of, a sum here and not a mean")
    damping: Positive = setting(0.1, help="damping that is added to the diagonal of the matrix")
    threads: Count = setting(1, help="threads of an operation on the CPU: part of what is measured")


class SimulationSettings(ConvergenceSettings):
    """The synthetic study."""

    dims: Counts = setting((512, 1024), help="sides d of the d x d matrix; the paper adds 2048 and 4096")
    seeds: Seeds = setting((11, 12, 13), help="seeds, one draw of the matrix each")
    threads: Count = setting(1, runtime=True, help="threads of each job")
    fisher: FisherSettings = setting(FisherSettings, help="compare the GFIM with the FIM itself")
    timing: TimingSettings = setting(TimingSettings, help="measure the seconds that each solver takes to invert")
