"""The convergence study: how far each method is from ``A^-1 v`` after every iteration."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from hyperinf.artifacts.files import atomic_file
from hyperinf.runtime.devices import resolve_device, set_threads
from hyperinf.settings.stages import SimulateConvergence
from hyperinf.simulation.curves import CurvePoint
from hyperinf.simulation.methods import CONVERGENCE_METHODS, PreparedProblem
from hyperinf.simulation.problem import SyntheticProblem
from hyperinf.simulation.record import write_record

COLUMNS = ["method", "dim", "samples", "damping", "seed", "iteration", "error_l2", "error_relative", "status"]


def simulate_convergence(settings: SimulateConvergence) -> None:
    """Write the error curves of every N and method to the CSV file ``settings.out``.

    The arithmetic of the methods is float32, as published; the reference ``A^-1 v`` is a float64 solve with the
    same float32 A. One row per iteration, 1 to ``iterations``: ``error_l2 = ||A^-1 v - x_t||_2`` and
    ``error_relative``, the same over ``||A^-1 v||_2``. No tolerance ends a method early. One that reaches the floor
    of its arithmetic and stops keeps its answer for the remaining rows. ``status`` is ``diverged`` from the first
    iterate on that is not finite (then the last row, its errors empty) or more than ten times as far from the
    solution as x = 0, and where the solver gave up (also the last row); else ``ok``. Direct methods have one row, its
    iteration empty; they are ``diverged`` only if not finite.
    """
    set_threads(settings.threads)
    device = torch.device(resolve_device(settings.device))
    out = Path(settings.out)
    rows: list[dict[str, object]] = []
    for samples in settings.samples:
        problem = PreparedProblem.draw(SyntheticProblem(settings.dim, samples, settings.damping, settings.seed), device)
        for method in settings.methods:
            points = CONVERGENCE_METHODS[method](problem, settings.iterations)
            rows += [_row(settings, samples, method, point) for point in points]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"iteration": "Int64"})
    with atomic_file(out) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    write_record(out, settings, device)


def _row(settings: SimulateConvergence, samples: int, method: str, point: CurvePoint) -> dict[str, object]:
    values = asdict(point)
    status = "diverged" if values.pop("diverged") else "ok"
    constants = {"method": method, "dim": settings.dim, "samples": samples}
    return {**constants, "damping": settings.damping, "seed": settings.seed, **values, "status": status}
