"""The page's first sentences, each put together from the tables' numbers."""

import math
from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.claims import PUBLISHED_CLAIM, VERDICTS
from hyperinf.reporting.labels import ORACLE_OF, method_label
from hyperinf.reporting.mislabel_frames import SUBJECT
from hyperinf.reporting.simulation_tables import TARGET_ERROR


def claim_sentences(claims: pd.DataFrame) -> Iterator[str]:
    """How many published claims stand, setting by setting."""
    published = claims[claims["origin"] == PUBLISHED_CLAIM]
    if published.empty:
        return
    counts = published["verdict"].value_counts()
    parts = ", ".join(f"{int(counts.get(verdict, 0))} {verdict}" for verdict in VERDICTS)
    settings = f"{published['statement'].nunique()} published claims were looked at in {len(published)} settings"
    yield f"{settings}: {parts}."


def simulation_sentences(frame: pd.DataFrame) -> Iterator[str]:
    """How many iterations Schulz and LiSSA needed on the grid of ``tables/simulation.csv``."""
    for method in ("schulz_paper", "chebyshev", "lissa"):
        rows = frame[frame["method"] == method]
        if rows.empty:
            continue
        reached = rows["iterations_to_target"].dropna()
        goal, cells = f"{method_label(method)} reached a relative error of {TARGET_ERROR:g}", len(rows)
        if len(reached) == cells:
            span = " to ".join(f"{value:.0f}" for value in sorted({reached.min(), reached.max()}))
            yield f"{goal} on all {cells} (d, N) in {span} iterations (slowest seed)."
        else:
            left = rows["final_relative"]
            finite = left[left.map(math.isfinite)]
            ends = (
                f"; its relative errors ended between {finite.min():.2g} and {finite.max():.2g}" if len(finite) else ""
            )
            steps = f"{rows['iterations'].max():.0f}"
            yield f"{goal} within {steps} iterations on {len(reached)} of {cells} (d, N){ends}."


def mislabel_sentences(frame: pd.DataFrame) -> Iterator[str]:
    """HyperINF's ROC-AUC in every cell of ``tables/mislabel.csv``, and whether each other method differs from it."""
    for (task, model, rank, epoch), rows in frame.groupby(["task", "model", "rank", "epoch"], sort=True):
        own = rows[rows["method"] == SUBJECT]
        if own.empty:
            continue
        subject = own.iloc[0]
        where = f"{task}, {model}, rank {rank}, epoch {epoch}"
        spread = "" if math.isnan(subject["roc_auc_half_width"]) else f" ± {subject['roc_auc_half_width']:.3f}"
        seeds = int(subject["seeds"])
        yield (
            f"{where}: HyperINF's ROC-AUC is {subject['roc_auc']:.3f}{spread} ({seeds} "
            f"seed{'s' if seeds > 1 else ''}). " + _compared(rows)
        )


def _compared(rows: pd.DataFrame) -> str:
    groups: dict[str, list[str]] = {"above": [], "below": [], "within noise of": []}
    untested = []
    for _, row in rows[~rows["method"].isin([SUBJECT, "model"])].iterrows():
        difference, half = row["roc_auc_difference"], row["roc_auc_difference_half_width"]
        if math.isnan(half):
            untested.append(method_label(row["method"]))
        elif abs(difference) <= half:
            groups["within noise of"].append(method_label(row["method"]))
        else:
            groups["above" if difference > 0 else "below"].append(
                f"{method_label(row['method'])} (by {abs(difference):.3f})"
            )
    parts = [f"{word} {', '.join(names)}" for word, names in groups.items() if names]
    sentence = f"It is {'; '.join(parts)}." if parts else ""
    return sentence + (f" One seed, so no interval, against {', '.join(untested)}." if untested else "")


def epoch_sentences(frame: pd.DataFrame) -> Iterator[str]:
    """Which method has the highest mean ROC-AUC at each epoch of ``tables/mislabel_epochs.csv``."""
    methods = frame[frame["method"] != "model"]
    for (task, model, rank), rows in methods.groupby(["task", "model", "rank"], sort=True):
        leaders = []
        for epoch, cell in rows.groupby("epoch", sort=True):
            contenders = cell[~cell["method"].map(ORACLE_OF).isin(cell["method"])]
            if contenders["roc_auc"].notna().any():
                best = contenders.loc[contenders["roc_auc"].idxmax()]
                clear = "clear of the second" if str(best["roc_auc_best"]) == "True" else "not clear of the second"
                leaders.append(f"epoch {epoch}: {method_label(best['method'])} {best['roc_auc']:.3f} ({clear})")
        yield f"Highest mean ROC-AUC on {task}, {model}, rank {rank} – {'; '.join(leaders)}."


def cost_sentences(frame: pd.DataFrame) -> Iterator[str]:
    """Median seconds per checkpoint of each method's own work, and of what all share."""
    for (task, model, rank), rows in frame.groupby(["task", "model", "rank"], sort=True):
        shared = rows[(rows["method"] == "shared") & ~rows["stage"].str.startswith("of which")]["seconds"].sum()
        own = rows[rows["method"] != "shared"].groupby("method", sort=False)["seconds"].sum()
        parts = ", ".join(f"{method_label(str(method))} {seconds:.2g} s" for method, seconds in own.items())
        where = f"{task}, {model}, rank {rank}"
        yield f"Scoring one checkpoint ({where}): {shared:.2g} s shared by all methods, and of its own {parts}."
        if {SUBJECT, "gfim"} <= set(own.index) and own["gfim"] > 0:
            ratio = own[SUBJECT] / own["gfim"]
            yield f"On {where}, Schulz's iteration took {ratio:.2g} times as long as Cholesky on the same matrices."
