"""The convergence study: how far each method is from ``A^-1 v`` after every iteration."""

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from hyperinf.artifacts.files import atomic_file
from hyperinf.simulation.checks import check_choices, check_counts, check_damping, check_seed, check_sizes
from hyperinf.simulation.curves import CurvePoint
from hyperinf.simulation.device import limit_threads, resolve_device
from hyperinf.simulation.methods import CONVERGENCE_METHODS, PreparedProblem
from hyperinf.simulation.problem import SyntheticProblem
from hyperinf.simulation.record import write_record

COLUMNS = ["method", "dim", "samples", "damping", "seed", "iteration", "error_l2", "error_relative", "status"]


@dataclass(frozen=True)
class ConvergenceConfig:
    """One dimension and one seed of the study; every N, and on each the same problem for every method.

    Attributes:
        dim: d, the order of A; published 512, 1024, 2048, 4096.
        samples: the values of N; published 200, 800, 6400, 12800.
        damping: added to the diagonal of A; published 0.01.
        iterations: of every iterative method; published 40.
        seed: chooses the draws.
        methods: names out of ``CONVERGENCE_METHODS``; rows come in this order.
        device: auto, cpu or cuda.
        threads: CPU threads of torch; None leaves them as they are. Rounding may depend on it.
    """

    dim: int
    samples: tuple[int, ...] = (200, 800, 6400, 12800)
    damping: float = 0.01
    iterations: int = 40
    seed: int = 11
    methods: tuple[str, ...] = tuple(CONVERGENCE_METHODS)
    device: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        check_choices("methods", self.methods, tuple(CONVERGENCE_METHODS))
        check_sizes("samples", self.samples)
        check_counts(dim=self.dim, iterations=self.iterations)
        check_damping(self.damping)
        check_seed(self.seed)


def run_convergence(config: ConvergenceConfig, out: Path) -> None:
    """Write the error curves of every N and method to the CSV file ``out``.

    The arithmetic of the methods is float32, as published; the reference ``A^-1 v`` is a float64 solve with the
    same float32 A. One row per iteration, 1 to ``iterations``: ``error_l2 = ||A^-1 v - x_t||_2`` and
    ``error_relative``, the same over ``||A^-1 v||_2``. No tolerance ends a method early. One that reaches the floor
    of its arithmetic and stops keeps its answer for the remaining rows. ``status`` is ``diverged`` from the first
    iterate on that is not finite (then the last row, its errors empty) or more than ten times as far from the
    solution as x = 0, and where the solver gave up (also the last row); else ``ok``. Direct methods have one row, its
    iteration empty; they are ``diverged`` only if not finite.
    """
    limit_threads(config.threads)
    device = resolve_device(config.device)
    rows: list[dict[str, object]] = []
    for samples in config.samples:
        problem = PreparedProblem.draw(SyntheticProblem(config.dim, samples, config.damping, config.seed), device)
        for method in config.methods:
            points = CONVERGENCE_METHODS[method](problem, config.iterations)
            rows += [_row(config, samples, method, point) for point in points]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"iteration": "Int64"})
    with atomic_file(out) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    write_record(out, config, device)


def _row(config: ConvergenceConfig, samples: int, method: str, point: CurvePoint) -> dict[str, object]:
    values = asdict(point)
    status = "diverged" if values.pop("diverged") else "ok"
    constants = {"method": method, "dim": config.dim, "samples": samples}
    return {**constants, "damping": config.damping, "seed": config.seed, **values, "status": status}
