"""Schulz's iteration against Cholesky and LU: the time to invert damped covariance matrices, paired in one run.

    python benchmarks/invert.py --dims 256 512 1024 --threads 2 --name cpu-2-threads

Each matrix is ``M + damping I`` with M the mean of ``d / 2`` outer products (so it is singular, like the GFIM of few
samples) and the damping chosen for the condition number asked for. In every round each method runs once, in an order
that rotates, so that a change of the machine's speed hits all of them. Times are device events on CUDA, a monotonic
clock on the CPU. The result is one JSON file with every repeat, medians, and the errors against float64.
"""

import argparse
import platform
import statistics
from functools import partial
from pathlib import Path

import torch
from machine import device_name
from torch import Tensor

import hyperinf
from hyperinf.artifacts.files import write_json
from hyperinf.linalg import ConvergenceError
from hyperinf.runtime.devices import resolve_device, set_threads
from hyperinf.simulation.clock import timed
from hyperinf.simulation.problem import SyntheticProblem
from hyperinf.simulation.timing import COUNTS_WHEN_SLOWER, TIMING_METHODS, Inverted, relative_error

METHODS = ("cholesky_solve", "cholesky", "inv", "chebyshev", "schulz", "schulz_paper_30")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    arguments = parse_arguments()
    set_threads(arguments.threads)
    device = torch.device(resolve_device(arguments.device))
    measurements = []
    for dim in arguments.dims:
        for condition in arguments.conditions:
            matrices = conditioned_matrices(dim, arguments.batch, condition, arguments.seed, device)
            measurements += measure(matrices, condition, arguments.methods, arguments.repeats)
    result = {
        "device": device_name(device),
        "torch": torch.__version__,
        "hyperinf": hyperinf.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "dtype": "float32",
        "batch": arguments.batch,
        "seed": arguments.seed,
        "measurements": measurements,
    }
    write_json(RESULTS / f"{arguments.name}.json", result)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--dims", type=int, nargs="+", default=[256, 512, 1024, 2048], help="orders of the matrices")
    parser.add_argument("--conditions", type=float, nargs="+", default=[1e2, 1e4], help="condition numbers")
    parser.add_argument("--methods", nargs="+", choices=list(TIMING_METHODS), default=list(METHODS))
    parser.add_argument("--batch", type=int, default=1, help="matrices inverted by one call, as layers of one shape")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each method")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    parser.add_argument("--name", required=True, help="the result is benchmarks/results/NAME.json")
    return parser.parse_args()


def conditioned_matrices(dim: int, batch: int, condition: float, seed: int, device: torch.device) -> Tensor:
    """``batch`` damped covariance matrices of the condition number asked for: ``Tensor[batch, d, d]``, float32."""
    matrices = []
    for index in range(batch):
        problem = SyntheticProblem(dim, samples=max(1, dim // 2), damping=1.0, seed=seed + index)
        covariance = problem.second_moment(device).double() / problem.samples
        # The smallest eigenvalue is 0, so (largest + damping) / damping is the condition number.
        damping = float(torch.linalg.eigvalsh(covariance)[-1]) / (condition - 1)
        covariance.diagonal().add_(damping)
        matrices.append(covariance.float())
    return torch.stack(matrices) if batch > 1 else matrices[0]


def measure(matrices: Tensor, condition: float, methods: list[str], repeats: int) -> list[dict[str, object]]:
    """Time every method ``repeats`` times, in rounds; the first round warms up and counts only where it is slow."""
    inverse = torch.linalg.inv(matrices.double())
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    outcomes: dict[str, Inverted] = {}
    failures: dict[str, str] = {}
    for round_number in range(repeats + 1):
        turn = round_number % len(methods)
        for method in methods[turn:] + methods[:turn]:
            if len(seconds[method]) == repeats or method in failures:
                continue
            try:
                outcomes[method], elapsed = timed(partial(TIMING_METHODS[method], matrices), matrices.device)
            except ConvergenceError as error:
                failures[method] = str(error)
                continue
            if round_number > 0 or elapsed > COUNTS_WHEN_SLOWER:
                seconds[method].append(elapsed)
    rows: list[dict[str, object]] = []
    for method in methods:
        row: dict[str, object] = {"method": method, "dim": matrices.shape[-1], "condition": condition}
        if method in failures:
            rows.append(row | {"failed": failures[method]})
            continue
        taken = seconds[method]
        rows.append(
            row
            | {
                "seconds": taken,
                "median": statistics.median(taken),
                "min": min(taken),
                "max": max(taken),
                "error_relative": relative_error(outcomes[method], inverse),
                "matmuls": outcomes[method].matmuls,
            }
        )
        print(f"d={row['dim']} condition={condition:g} {method}: {statistics.median(taken):.3g} s", flush=True)
    return rows


if __name__ == "__main__":
    main()
