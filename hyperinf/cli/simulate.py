"""Commands of the synthetic studies."""

import argparse
from typing import Any

from hyperinf.cli.arguments import (
    add_device,
    out_file,
    out_folder,
    whole_number,
)
from hyperinf.cli.parser import add_command


def add_simulate(commands: Any) -> None:
    """``hyperinf simulate``."""
    add = add_command(commands, "convergence", "error of every solver after each iteration", _run_convergence)
    add("--dim", type=int, required=True, metavar="D", help="side of the matrix")
    add("--samples", type=int, nargs="+", required=True, metavar="N", help="numbers of samples in the matrix")
    add("--damping", type=float, default=0.01, metavar="LAMBDA", help="added to the diagonal")
    add("--iterations", type=int, default=40, metavar="T", help="of every iterative method")
    add("--seed", type=whole_number, required=True, help="of all that is drawn")
    add("--methods", nargs="+", required=True, metavar="METHOD", help="solvers to compare")
    add_device(add)
    add("--out", type=out_file, required=True, metavar="FILE.csv", help="file to write")

    add = add_command(commands, "fisher", "the GFIM against the FIM on random gradient matrices", _run_fisher)
    add("--rows", type=int, default=40, metavar="R", help="rows of a gradient")
    add("--columns", type=int, default=40, metavar="D", help="columns of a gradient")
    add("--samples", type=int, default=2000, metavar="N", help="gradients")
    add("--seed", type=whole_number, required=True, help="of all that is drawn")
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")

    add = add_command(commands, "timing", "time to invert against the side of the matrix", _run_timing)
    add("--dims", type=int, nargs="+", required=True, metavar="D", help="sides of the matrix")
    add("--methods", nargs="+", required=True, metavar="METHOD", help="solvers to time")
    add("--repeats", type=int, default=5, metavar="R", help="timed runs of each, after a warm-up")
    add("--seed", type=whole_number, required=True, help="of all that is drawn")
    add_device(add)
    add("--out", type=out_file, required=True, metavar="FILE.csv", help="file to write")


def _run_convergence(parsed: argparse.Namespace) -> None:
    from hyperinf.runtime.devices import resolve_device, set_threads
    from hyperinf.simulation.convergence import ConvergenceConfig, run_convergence

    set_threads(parsed.threads)
    config = ConvergenceConfig(
        dim=parsed.dim,
        samples=tuple(parsed.samples),
        damping=parsed.damping,
        iterations=parsed.iterations,
        seed=parsed.seed,
        methods=tuple(parsed.methods),
        device=resolve_device(parsed.device),
    )
    run_convergence(config, parsed.out)


def _run_fisher(parsed: argparse.Namespace) -> None:
    from hyperinf.simulation.fisher import FisherConfig, run_fisher_heatmap

    run_fisher_heatmap(FisherConfig(parsed.rows, parsed.columns, parsed.samples, parsed.seed), parsed.out)


def _run_timing(parsed: argparse.Namespace) -> None:
    from hyperinf.runtime.devices import resolve_device, set_threads
    from hyperinf.simulation.timing import TimingConfig, run_timing

    set_threads(parsed.threads)
    config = TimingConfig(
        dims=tuple(parsed.dims),
        methods=tuple(parsed.methods),
        repeats=parsed.repeats,
        seed=parsed.seed,
        device=resolve_device(parsed.device),
    )
    run_timing(config, parsed.out)
