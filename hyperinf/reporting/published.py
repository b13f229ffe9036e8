"""Read the published numbers that stand beside this run's (package data, see ``published/README.md``)."""

from importlib import resources

import pandas as pd

CONVERGENCE_READING_LIMIT = 1e-3
"""Accuracy of the published convergence curves, as a share of their panel's range."""

CONVERGENCE_METHODS = {"hyperinf": "schulz_paper", "lissa": "lissa"}
"""Published curve -> this package's name of the same iteration."""

TIMING_METHODS = {
    "schulz": "schulz_paper",
    "torch.inverse": "inv",
    "conjugate gradient": "cg",
    "gmres (scipy)": "gmres",
}
"""Published way to invert -> this package's name; the others have no counterpart here."""

PUBLISHED_FAMILY = "classifier"
"""The published numbers of detection and cost are those of a classifier."""

RELEASE = "HyperINF code release 6ce71cc"
ACCURATE = "HyperINF paper, abstract: an accurate approximation"
"""github.com/Blackzxy/HyperINF at that commit."""


def _read(name: str) -> pd.DataFrame:
    with resources.files("hyperinf.reporting").joinpath(f"published/{name}").open("rb") as stream:
        return pd.read_csv(stream)


def published_convergence() -> pd.DataFrame:
    """Read the published errors: method, samples, dim, iteration, error_l2, error_relative, below_reading_limit.

    Methods carry this package's names. ``error_relative`` divides by HyperINF's first value of the panel, which is
    ``||A^-1 v||`` up to 0.1 % (the published start is 5e-5 I). Values below the reading limit are set to it.
    """
    frame = _read("published_synthetic_convergence.csv").rename(columns={"n_samples": "samples"})
    norm = frame[(frame["method"] == "hyperinf") & (frame["iteration"] == 1)].set_index(["dim", "samples"])["error_l2"]
    norms = norm.loc[list(zip(frame["dim"], frame["samples"], strict=True))].to_numpy()
    limit = CONVERGENCE_READING_LIMIT * norms
    frame["below_reading_limit"] = frame["error_l2"].to_numpy() < limit
    frame["error_l2"] = frame["error_l2"].clip(lower=limit)
    frame["error_relative"] = frame["error_l2"] / norms
    frame["method"] = frame["method"].map(CONVERGENCE_METHODS)
    return frame


def published_detection() -> pd.DataFrame:
    """Read the published detection (CoLA, RoBERTa-large, rank 16): method, inspected_percent, detected_percent."""
    return _read("published_detection_cola_r16.csv")


def published_inversion() -> pd.DataFrame:
    """Read the published seconds to invert a d x d matrix: method (by its name here), dim, seconds, valid."""
    frame = _read("published_runtime.csv")
    frame = frame[frame["study"] == "inverse"].copy()
    frame["dim"] = frame["setting"].str.removeprefix("d=").astype(int)
    frame["valid"] = frame["valid"] == "yes"
    frame["method"] = [TIMING_METHODS.get(name, name) for name in frame["method"]]
    return frame[["method", "dim", "seconds", "valid"]].reset_index(drop=True)


def untested_claims() -> pd.DataFrame:
    """Read the published claims that small runs do not speak to: statement, source, needs, tested_in (or empty)."""
    return _read("untested.csv").fillna("")


def published_influence_seconds() -> dict[str, float]:
    """Read the published seconds of each influence method (MRPC, RoBERTa-large, rank 16, 3,668 training samples)."""
    frame = _read("published_runtime.csv")
    frame = frame[(frame["study"] == "influence") & (frame["valid"] == "yes")]
    return {row.method: float(row.seconds) for row in frame.itertuples() if not row.method.startswith("gradients")}
