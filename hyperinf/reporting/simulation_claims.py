"""Judge the published claims that the synthetic studies can speak to."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from hyperinf.reporting.claims import (
    CONTRADICTED,
    NOT_TESTED,
    SUPPORTED,
    WITHIN_NOISE,
    Claim,
    combined_verdict,
    separation_verdict,
    unanimous_verdict,
)
from hyperinf.reporting.labels import method_label, ordered_solvers
from hyperinf.reporting.published import RELEASE, published_convergence, published_inversion
from hyperinf.reporting.simulation_inputs import SimulationResults
from hyperinf.reporting.simulation_tables import TARGET_ERROR, first_below

CHECK_ITERATION = 25
_CLOSE = 0.1
_FAR = 0.3
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
    held = [schulz[seed] <= TARGET_ERROR < lissa[seed] for seed in seeds]
    at = reference[reference["iteration"] == CHECK_ITERATION].set_index("method")
    shown = {
        method: f"{'≤ ' if at.loc[method, 'below_reading_limit'] else ''}{at.loc[method, 'error_relative']:.1e}"
        for method in at.index
    }
    return Claim(
        statement=f"Schulz converges within about {CHECK_ITERATION} iterations where LiSSA does not",
        source=_CURVES,
        setting=setting,
        published=f"relative error: Schulz {shown['schulz_paper']}, LiSSA {shown['lissa']}" if len(shown) == 2 else "",
        measured=f"relative error: Schulz {_range(list(schulz.values()))}, LiSSA {_range(list(lissa.values()))} "
        f"({len(seeds)} seeds)",
        rule=f"at iteration {CHECK_ITERATION}, published start: Schulz's relative error ≤ {TARGET_ERROR:g} and "
        "LiSSA's above it, in "
        "every seed: supported; in no seed: contradicted; else within noise; fewer than two seeds: not tested",
        verdict=unanimous_verdict(held),
    )


def _iterations(cell: pd.DataFrame, method: str) -> dict[int, float]:
    runs = cell[(cell["method"] == method) & cell["iteration"].notna()]
    return {int(seed): first_below(run) for seed, run in runs.groupby("seed", sort=True)}


def _chebyshev_against_paper(setting: str, cell: pd.DataFrame) -> Claim:
    paper, chebyshev = _iterations(cell, "schulz_paper"), _iterations(cell, "chebyshev")
    seeds = sorted(set(paper) & set(chebyshev))
    slowest = {name: max(runs.values(), default=np.nan) for name, runs in (("p", paper), ("c", chebyshev))}
    return Claim(
        statement="Schulz with Chebyshev scaling (this package's default) needs fewer iterations than from the "
        "published start",
        source="",
        setting=setting,
        published="",
        measured=f"slowest seed: {slowest['c']:.0f} against {slowest['p']:.0f} iterations ({len(seeds)} seeds)",
        rule=f"fewer iterations to a relative error of {TARGET_ERROR:g} in every seed: supported; in none: "
        "contradicted; else within noise",
        verdict=unanimous_verdict([chebyshev[seed] < paper[seed] for seed in seeds]),
    )


def datainf_claims(read: SimulationResults) -> Iterator[Claim]:
    """Judge DataInf's error against d for every N: absolute as published, and relative, which is asked here."""
    frame = read.convergence
    rows = frame[frame["method"] == "datainf"]
    kinds = (
        ("error_l2", "DataInf's error grows with d", _PAPER, "absolute error"),
        (
            "error_relative",
            "DataInf's error grows with d faster than the solution's own norm",
            "",
            "relative error",
        ),
    )
    for column, statement, source, name in kinds:
        for samples in sorted(set(frame["samples"])):
            by_dim = {
                int(dim): group[column].to_list()
                for dim, group in rows[rows["samples"] == samples].groupby("dim", sort=True)
            }
            dims = list(by_dim)
            steps = [separation_verdict(by_dim[a], by_dim[b]) for a, b in itertools.pairwise(dims)]
            means = ", ".join(f"d = {dim}: {np.mean(values):.3g}" for dim, values in by_dim.items())
            yield Claim(
                statement=statement,
                source=source,
                setting=f"N = {samples}",
                published="",
                measured=f"{name}: {means or 'not run'}",
                rule="from each d to the next the seeds' errors do not overlap and rise: supported; all fall: "
                "contradicted; else within "
                "noise; one d or fewer than two seeds: not tested",
                verdict=combined_verdict(steps),
            )


def fisher_claims(read: SimulationResults) -> Iterator[Claim]:
    """Judge GFIM against FIM, one claim per case of ``fisher/summary.csv``; none where it was not run."""
    for case, rows in read.summary.groupby("case", sort=False) if read.summary is not None else ():
        values = rows.set_index("metric")["value"]
        distance = float(values.get("relative_frobenius", np.nan))
        sampling = float(values.get("sampling_error_fim", np.nan))
        published = case == "independent"
        yield Claim(
            statement=f"the GFIM approximates the FIM{'' if published else ' for correlated gradients too'}: FIM "
            "= I ⊗ GFIM / r",
            source=_PAPER if published else "",
            setting=f"gradients: {str(case).replace('_', ' ')}",
            published="",
            measured=f"relative distance {distance:.3f}, of which not the FIM's own sampling error: "
            f"{excess_distance(distance, sampling):.3f}",
            rule=f"Frobenius distance without the sampling error of the FIM at most {_CLOSE:g}: supported; above "
            f"{_FAR:g}: contradicted; between: "
            "within noise (one draw of the matrices)",
            verdict=fisher_verdict(distance, sampling),
        )


def excess_distance(distance: float, sampling: float) -> float:
    """Compute what the approximation itself contributes to the distance between FIM and GFIM.

    With ``distance = ||G - F|| / ||F||`` for the sampled FIM F and ``sampling = ||F - P|| / ||P||`` for its limit P,
    sampling noise is orthogonal to the rest on average: ``||F||^2 = ||P||^2 (1 + sampling^2)`` and
    ``||G - F||^2 = ||G - P||^2 + ||F - P||^2``, so ``||G - P|| / ||P||`` is the root of
    ``distance^2 (1 + sampling^2) - sampling^2``.
    """
    return float(np.sqrt(max(distance**2 * (1 + sampling**2) - sampling**2, 0.0)))


def fisher_verdict(distance: float, sampling: float) -> str:
    """Draw the verdict on whether the GFIM is near the FIM once the FIM's own sampling error is taken out."""
    if not (np.isfinite(distance) and np.isfinite(sampling)):
        return NOT_TESTED
    excess = excess_distance(distance, sampling)
    if excess <= _CLOSE:
        return SUPPORTED
    return CONTRADICTED if excess > _FAR else WITHIN_NOISE


def timing_claims(read: SimulationResults) -> Iterator[Claim]:
    """Judge Schulz against a library inverse, for every device and d that was timed."""
    frame, published = read.timing, published_inversion()
    if frame is None:
        return
    variants = [method for method in ordered_solvers(frame["method"]) if method.startswith("schulz_paper")]
    for method in variants or ["schulz_paper"]:
        for (device, dtype, dim), rows in frame.groupby(["device", "dtype", "dim"], sort=True):
            schulz = rows.loc[rows["method"] == method, "seconds"].to_list()
            library = rows.loc[rows["method"] == "inv", "seconds"].to_list()
            reference = published[published["dim"] == dim].set_index("method")["seconds"]
            repeats = min(len(schulz), len(library))
            known = {"schulz_paper", "inv"} <= set(reference.index)
            yield Claim(
                statement=f"{method_label(method)}, inverts a matrix faster than torch.linalg.inv",
                source=f"{_NOTEBOOK} (its Schulz timings are invalid: device not synchronised)",
                setting=f"{device}, {dtype}, d = {dim}",
                published=f"{reference['schulz_paper']:.2g} s (invalid) against {reference['inv']:.2g} s"
                if known
                else "",
                measured=f"median {_median(schulz)} against {_median(library)} ({repeats} repeats)",
                rule="every repeat of Schulz faster than every repeat of the other: supported; slower: contradicted; "
                "else within noise; fewer than two repeats: not tested",
                verdict=separation_verdict(schulz, library),
            )


def _median(values: list[float]) -> str:
    return f"{np.median(values):.2g} s" if values else "not run"
