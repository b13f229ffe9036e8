"""Judge the published claims that the synthetic studies can speak to."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from hyperinf.reporting.claims import Claim
from hyperinf.reporting.labels import method_label, ordered_solvers
from hyperinf.reporting.published import RELEASE, published_convergence, published_inversion
from hyperinf.reporting.ranking import minus
from hyperinf.reporting.simulation_inputs import SimulationResults
from hyperinf.reporting.simulation_tables import TARGET_ERROR, first_below

CHECK_ITERATION = 25
_CURVES = f"{RELEASE}: rebuttal/hvp_converge_correct_lissa.pdf"
_NOTEBOOK = f"{RELEASE}: example.ipynb"
_PAPER = "HyperINF paper, synthetic study (no published numbers at hand)"


def convergence_claims(read: SimulationResults) -> Iterator[Claim]:
    """Judge Schulz against LiSSA, and the Chebyshev-scaled start against the published one, for every d and N."""
    published = published_convergence()
    cells = read.convergence.groupby(["dim", "samples"], sort=True)
    for (dim, samples), cell in cells:
        reference = published[(published["dim"] == dim) & (published["samples"] == samples)]
        yield _schulz_against_lissa(f"d = {dim}, N = {samples}", cell, reference)
    for (dim, samples), cell in cells:
        yield _chebyshev_against_paper(f"d = {dim}, N = {samples}", cell)


def _errors_at(cell: pd.DataFrame, method: str, iteration: int) -> dict[int, float]:
    """Each seed's relative error; infinite where the run had left the finite numbers before."""
    errors = {}
    for seed, run in cell[cell["method"] == method].sort_values("iteration").groupby("seed", sort=True):
        at = run[run["iteration"] == iteration]
        if len(at):
            errors[int(seed)] = float(at["error_relative"].iloc[0])
        elif run["status"].iloc[-1] == "diverged":
            errors[int(seed)] = np.inf
    return errors


def _range(values: list[float]) -> str:
    return "not run" if not values else f"{min(values):.1e} to {max(values):.1e}"


def _schulz_against_lissa(setting: str, cell: pd.DataFrame, reference: pd.DataFrame) -> Claim:
    schulz = _errors_at(cell, "schulz_paper", CHECK_ITERATION)
    lissa = _errors_at(cell, "lissa", CHECK_ITERATION)
    seeds = sorted(set(schulz) & set(lissa))
    at = reference[reference["iteration"] == CHECK_ITERATION].set_index("method")
    shown = {
        method: f"{'≤ ' if at.loc[method, 'below_reading_limit'] else ''}{at.loc[method, 'error_relative']:.1e}"
        for method in at.index
    }
    return Claim(
        f"Schulz converges within about {CHECK_ITERATION} iterations where LiSSA does not",
        _CURVES,
        setting,
        "count",
        "",
        {seed: float(schulz[seed] <= TARGET_ERROR < lissa[seed]) for seed in seeds},
        published=f"relative error: Schulz {shown['schulz_paper']}, LiSSA {shown['lissa']}" if len(shown) == 2 else "",
        measured=f"relative error: Schulz {_range(list(schulz.values()))}, LiSSA {_range(list(lissa.values()))} "
        f"({len(seeds)} seeds)",
        rule=f"at iteration {CHECK_ITERATION}, from the published start, Schulz's relative error is at most "
        f"{TARGET_ERROR:g} and LiSSA's above it",
    )


def _iterations(cell: pd.DataFrame, method: str) -> dict[int, float]:
    """Each seed's log of the iterations to the solution; of one that did not get there, of one more than it made."""
    runs = cell[(cell["method"] == method) & cell["iteration"].notna()]
    return {
        int(seed): float(np.log(np.clip(first_below(run), 1, run["iteration"].max() + 1)))
        for seed, run in runs.groupby("seed", sort=True)
    }


def _chebyshev_against_paper(setting: str, cell: pd.DataFrame) -> Claim:
    return Claim(
        "Schulz with Chebyshev scaling (this package's default) needs fewer iterations than from the published start",
        "",
        setting,
        "difference",
        "log_ratio",
        minus(_iterations(cell, "schulz_paper"), _iterations(cell, "chebyshev")),
    )


def datainf_claims(read: SimulationResults) -> Iterator[Claim]:
    """Judge DataInf's error against d for every N: absolute as published, and relative, which is asked here."""
    frame = read.convergence
    rows = frame[frame["method"] == "datainf"]
    kinds = (
        ("error_l2", "DataInf's error grows with d", _PAPER),
        ("error_relative", "DataInf's error grows with d faster than the solution's own norm", ""),
    )
    for column, statement, source in kinds:
        for samples in sorted(set(frame["samples"])):
            own = rows[rows["samples"] == samples].groupby("dim", sort=True)
            by_dim = {int(dim): dict(zip(part["seed"], np.log(part[column]), strict=True)) for dim, part in own}
            for less, more in itertools.pairwise(by_dim) if len(by_dim) > 1 else [(0, 0)]:
                setting = f"N = {samples}, d = {less} to {more}" if more else f"N = {samples}"
                values = minus(by_dim[more], by_dim[less]) if more else {}
                yield Claim(statement, source, setting, "difference", "log_ratio", values)


def fisher_claims(read: SimulationResults) -> Iterator[Claim]:
    """Judge GFIM against FIM, one claim per case of ``fisher/summary.csv``; none where it was not run."""
    for case, rows in read.summary.groupby("case", sort=False) if read.summary is not None else ():
        values = rows.set_index("metric")["value"]
        distance = float(values.get("relative_frobenius", np.nan))
        sampling = float(values.get("sampling_error_fim", np.nan))
        published, excess = case == "independent", excess_distance(distance, sampling)
        yield Claim(
            f"the GFIM approximates the FIM{'' if published else ' for correlated gradients too'}: FIM = I ⊗ GFIM / r",
            _PAPER if published else "",
            f"gradients: {str(case).replace('_', ' ')}",
            "distance",
            "",
            {0: excess},
            measured=f"relative distance {distance:.3f}, of which not the FIM's own sampling error: {excess:.3f}",
            rule="Frobenius distance without the sampling error of the FIM (one draw of the matrices)",
        )


def excess_distance(distance: float, sampling: float) -> float:
    """Compute what the approximation itself contributes to the distance between FIM and GFIM.

    With ``distance = ||G - F|| / ||F||`` for the sampled FIM F and ``sampling = ||F - P|| / ||P||`` for its limit P,
    sampling noise is orthogonal to the rest on average: ``||F||^2 = ||P||^2 (1 + sampling^2)`` and
    ``||G - F||^2 = ||G - P||^2 + ||F - P||^2``, so ``||G - P|| / ||P||`` is the root of
    ``distance^2 (1 + sampling^2) - sampling^2``.
    """
    if not (np.isfinite(distance) and np.isfinite(sampling)):
        return float("nan")
    return float(np.sqrt(max(distance**2 * (1 + sampling**2) - sampling**2, 0.0)))


def timing_claims(read: SimulationResults) -> Iterator[Claim]:
    """Judge Schulz against a library inverse, for every device and d that was timed."""
    frame, published = read.timing, published_inversion()
    if frame is None:
        return
    variants = [method for method in ordered_solvers(frame["method"]) if method.startswith("schulz_paper")]
    for method in variants or ["schulz_paper"]:
        for (device, dtype, dim), rows in frame.groupby(["device", "dtype", "dim"], sort=True):
            schulz, library = _log_seconds(rows, method), _log_seconds(rows, "inv")
            reference = published[published["dim"] == dim].set_index("method")["seconds"]
            known = {"schulz_paper", "inv"} <= set(reference.index)
            yield Claim(
                f"{method_label(method)}, inverts a matrix faster than torch.linalg.inv",
                f"{_NOTEBOOK} (its Schulz timings are invalid: device not synchronised)",
                f"{device}, {dtype}, d = {dim}",
                "difference",
                "log_ratio",
                minus(library, schulz),
                f"{reference['schulz_paper']:.2g} s (invalid) against {reference['inv']:.2g} s" if known else "",
                unit="repeat",
            )


def _log_seconds(rows: pd.DataFrame, method: str) -> dict[int, float]:
    seconds = rows.loc[rows["method"] == method, "seconds"]
    return {repeat: float(np.log(value)) for repeat, value in enumerate(seconds)}
