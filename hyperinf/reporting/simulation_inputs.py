"""Read what the synthetic studies wrote; whatever does not fit is refused in one line that names the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from hyperinf.errors import InputError
from hyperinf.reporting.inputs import Schema, joined, read_csv, read_many
from hyperinf.reporting.register import SimulationShape
from hyperinf.reporting.sources import Source

CONVERGENCE = Schema(
    text=("method", "status"),
    whole=("dim", "samples", "seed", "iteration"),
    number=("damping", "error_l2", "error_relative"),
    key=("method", "dim", "samples", "damping", "seed", "iteration"),
    optional=("iteration", "error_l2", "error_relative"),
)
TIMING = Schema(
    text=("method", "device", "dtype"),
    whole=("dim", "threads", "repeat"),
    number=("seconds", "error_relative", "matmuls"),
    key=("method", "dim", "device", "dtype", "threads", "repeat"),
    optional=("threads", "error_relative", "matmuls"),
)
FISHER_SUMMARY = Schema(text=("case", "metric"), whole=(), number=("value",), key=("case", "metric"))
_FISHER_CASES = {"independent": "", "correlated_rows": "correlated_rows_"}

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class SimulationResults:
    """What the synthetic studies wrote.

    Attributes:
        convergence: in the form of ``CONVERGENCE``.
        pairs: FIM and its approximation, by case.
        summary: case, metric, value; None without the Fisher study.
        timing: in the form of ``TIMING``; None without it.
        sources: the files.
        out: the results folder.
    """

    convergence: pd.DataFrame
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    summary: pd.DataFrame | None = None
    timing: pd.DataFrame | None = None
    sources: Sequence[Source] = ()
    out: Path = Path()

    @property
    def shape(self) -> SimulationShape:
        """What there is beside the convergence."""
        return SimulationShape(fisher=self.summary is not None, timing=self.timing is not None)


def read_simulation(
    convergence: Sequence[Path], fisher: Path | None, timing: Path | None, out: Path
) -> SimulationResults:
    """Read the files of all synthetic studies.

    Raises:
        InputError: a file is missing, empty or of another form.
    """
    # Timings change from run to run, so they are named without a hash.
    sources = [Source(Path(path), run={"part": "convergence"}) for path in sorted(convergence)]
    sources += [Source(Path(fisher) / "summary.csv", run={"part": "fisher"})] if fisher is not None else []
    sources += [Source(Path(timing), hashed=False, run={"part": "timing"})] if timing is not None else []
    return SimulationResults(
        read_convergence(convergence),
        read_fisher_cases(fisher) if fisher is not None else {},
        read_fisher_summary(fisher) if fisher is not None else None,
        read_timing(timing) if timing is not None else None,
        sources,
        out,
    )


def read_convergence(paths: Sequence[Path]) -> pd.DataFrame:
    """Read convergence CSVs as one frame; errors of diverged rows are infinite.

    Raises:
        InputError: as ``read_many``; an unknown status; an ok row without an error; several dampings.
    """
    frame = read_many(paths, CONVERGENCE)
    unknown = sorted(set(frame["status"]) - {"ok", "diverged"})
    if unknown:
        raise InputError(f"{paths[0]}: column status: got {unknown[0]!r}, expected ok or diverged")
    diverged = frame["status"] == "diverged"
    for column in ("error_l2", "error_relative"):
        unusable = ~diverged & ~(np.isfinite(frame[column]) & (frame[column] >= 0))
        if unusable.any():
            row = frame[unusable].iloc[0]
            where = f"method {row['method']}, dim {row['dim']}, samples {row['samples']}, seed {row['seed']}"
            raise InputError(
                f"{paths[0]}: {column} of {where}: got {row[column]!r} with status ok, expected a number >= 0"
            )
        frame.loc[diverged & ~np.isfinite(frame[column]), column] = np.inf
    dampings = sorted(set(frame["damping"]))
    if len(dampings) > 1:
        raise InputError(f"convergence: got dampings {', '.join(map(repr, dampings))}, expected one in all files")
    return frame


def read_timing(path: Path) -> pd.DataFrame:
    """Read the timing CSV.

    Raises:
        InputError: as ``read_many``; seconds that are not positive.
    """
    frame = read_many([path], TIMING)
    if not (np.isfinite(frame["seconds"]) & (frame["seconds"] > 0)).all():
        raise InputError(f"{path}: column seconds: got {frame['seconds'].min():g}, expected positive numbers")
    return frame


def read_fisher_summary(folder: Path) -> pd.DataFrame:
    """Read ``summary.csv`` of the Fisher study: case, metric, value.

    Raises:
        InputError: as ``read_many``.
    """
    path = Path(folder) / "summary.csv"
    frame = read_csv(path, FISHER_SUMMARY)
    joined([(path, frame)], FISHER_SUMMARY)  # refuses a second row
    return frame


def read_fisher_cases(folder: Path) -> dict[str, Pair]:
    """Read FIM and I (x) GFIM / r of the published case, and of the correlated case where its files are there.

    Raises:
        InputError: a file is missing, is no array, or the shapes do not fit.
    """
    folder = Path(folder)
    optional = [case for case, prefix in _FISHER_CASES.items() if prefix and (folder / f"{prefix}fim.npy").exists()]
    cases = {
        case: tuple(_matrix(folder / f"{_FISHER_CASES[case]}{name}.npy") for name in ("fim", "gfim"))
        for case in ("independent", *optional)
    }
    for fim, gfim in cases.values():
        if fim.shape != gfim.shape:
            raise InputError(f"{folder}: got a FIM of shape {fim.shape} and a GFIM of {gfim.shape}, expected one shape")
    return {case: (fim, gfim) for case, (fim, gfim) in cases.items()}


def _matrix(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError):
        raise InputError(f"{path}: got no NumPy array, expected one") from None
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not np.isfinite(array).all():
        raise InputError(f"{path}: got shape {array.shape}, expected a finite square matrix")
    return np.asarray(array, dtype=np.float64)
