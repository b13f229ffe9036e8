"""Print the synthetic study in numbers: iterations to a relative error, and the error that was left."""

import numpy as np
import pandas as pd

from hyperinf.reporting.labels import method_label, ordered_solvers
from hyperinf.reporting.simulation_inputs import SimulationResults
from hyperinf.reporting.table_writers import Table

TARGET_ERROR = 1e-3


def first_below(run: pd.DataFrame, target: float = TARGET_ERROR) -> float:
    """Find the iteration from which one seed's curve stays at or under ``target``; infinite if there is none."""
    ordered = run.sort_values("iteration")
    above = ~(ordered["error_relative"].to_numpy() <= target)
    last_above = int(np.flatnonzero(above)[-1]) + 1 if above.any() else 0
    return float(ordered["iteration"].iloc[last_above]) if last_above < len(ordered) else np.inf


def simulation_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Sum up in one row per d, N and method.

    Args:
        frame: ``simulation_inputs.read_convergence``.

    Returns:
        Columns dim, samples, method, seeds, diverged (seeds), iterations (run), iterations_to_target (slowest seed;
        empty when a seed never reaches relative error 1e-3, or for direct methods), final_relative and final_l2 (means
        over seeds, infinite when one diverged).
    """
    rows = []
    for (dim, samples), cell in frame.groupby(["dim", "samples"], sort=True):
        for method in ordered_solvers(cell["method"]):
            runs = [run for _, run in cell[cell["method"] == method].groupby("seed", sort=True)]
            direct = bool(runs[0]["iteration"].isna().all())
            last = pd.DataFrame([run.sort_values("iteration").iloc[-1] for run in runs])
            slowest = np.nan if direct else max(first_below(run) for run in runs)
            rows.append(
                {
                    "dim": dim,
                    "samples": samples,
                    "method": method,
                    "seeds": len(runs),
                    "diverged": int((last["status"] == "diverged").sum()),
                    "iterations": np.nan if direct else max(run["iteration"].max() for run in runs),
                    "iterations_to_target": slowest if np.isfinite(slowest) else np.nan,
                    "final_relative": float(last["error_relative"].mean()),
                    "final_l2": float(last["error_l2"].mean()),
                }
            )
    return pd.DataFrame(rows)


def simulation_tables(read: SimulationResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print one table per d: rows are methods, columns N."""
    frame, tables = simulation_frame(read.convergence), []
    for dim, rows in frame.groupby("dim", sort=True):
        samples = sorted(set(rows["samples"]))
        lookup = rows.set_index(["method", "samples"])
        body = tuple(
            (method_label(method), *(_cell(lookup, method, sample) for sample in samples))
            for method in ordered_solvers(rows["method"])
        )
        note = (
            "Iterations until the relative error is 1e-3 or less and stays so, slowest seed; in brackets the "
            "relative error at the end, mean over "
            "seeds. Iterations are not seconds: one of Schulz's costs two d × d matrix products, one of LiSSA, "
            "conjugate gradient and GMRES "
            "one matrix-vector product."
        )
        tables.append(Table(f"Synthetic study, d = {dim}", ("method", *(f"N = {n}" for n in samples)), body, note))
    return frame, tables


def _cell(lookup: pd.DataFrame, method: str, samples: int) -> str:
    if (method, samples) not in lookup.index:
        return "–"
    row = lookup.loc[(method, samples)]
    error = f"({row['final_relative']:.1e})"
    if row["diverged"] > 0:
        return f"diverged in {row['diverged']:.0f} of {row['seeds']:.0f}"
    if pd.isna(row["iterations"]):
        return f"direct {error}"
    if pd.isna(row["iterations_to_target"]):
        return f"> {row['iterations']:.0f} {error}"
    return f"{row['iterations_to_target']:.0f} {error}"
