"""The page's first sentences, each put together from the tables' numbers."""

import math
from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.claims import PUBLISHED_CLAIM, VERDICTS
from hyperinf.reporting.costs import seconds_text
from hyperinf.reporting.intervals import Interval
from hyperinf.reporting.labels import (
    ORACLE_OF,
    REFERENCES,
    method_label,
    noted_model,
    ordered_methods,
    selection_label,
    setting_label,
)
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
    sentences = [f"It is {'; '.join(parts)}."] if parts else []
    if untested:
        sentences.append(f"One seed in common, so no interval, against {', '.join(untested)}.")
    return " ".join(sentences)


COLLAPSED = 0.95
"""A share of one answer from which on a selection is called collapsed onto it."""


def selection_sentences(accuracy: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """HyperINF's accuracy at every share kept, and which methods differ from it.

    Yields the cell in words and one sentence a strategy.

    Args:
        accuracy: ``tables/<study>_<setting>.csv`` of all settings.
    """
    for (where, strategy), rows in _selections(accuracy):
        parts = []
        for fraction, at in rows.groupby("fraction", sort=True):
            own = at[at["method"] == SUBJECT]
            if len(own):
                parts.append(f"{100 * fraction:g} % kept: {_spread(own.iloc[0])} ({_differing(at)})")
        if parts:
            seeds = int(rows["seeds"].max())
            counted = f"{seeds} seed{'s' if seeds > 1 else ''}"
            yield where, f"{strategy.capitalize()} selection, {counted}: HyperINF's accuracy – {'; '.join(parts)}."


def _differing(rows: pd.DataFrame) -> str:
    """Which methods HyperINF is above and below by more than noise."""
    others = rows[rows["method"] != SUBJECT]
    tested = others[others["accuracy_difference_half_width"].notna()]
    if tested.empty:
        return "one seed in common, so no interval against any other" if len(others) else "no other method was run"
    groups: dict[int | None, list[str]] = {1: [], -1: [], 0: []}
    for _, row in tested.iterrows():
        half = float(row["accuracy_difference_half_width"])
        groups[Interval(float(row["accuracy_difference"]), half, int(row["seeds"])).sign].append(row["method"])
    parts = [
        f"{word} {', '.join(selection_label(name) for name in ordered_methods(groups[sign]))}"
        for sign, word in ((1, "above"), (-1, "below"))
        if groups[sign]
    ]
    if groups[0]:
        parts.append(f"within noise of {'the others' if parts else 'all others'}")
    return "; ".join(parts)


def reference_sentences(accuracy: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """What the accuracies stand beside: (cell in words, sentence), one a cell.

    Args:
        accuracy: ``tables/<study>_<setting>.csv`` of all settings.
    """
    known = accuracy[~accuracy["fraction"].between(0, 1, inclusive="neither")]
    for where, rows in _cells(known):
        by_method = {row["method"]: row for _, row in rows.iterrows()}
        parts = [f"{selection_label(name)} {_spread(by_method[name])}" for name in REFERENCES if name in by_method]
        yield where, f"Those accuracies stand beside {', '.join(parts)}."


def _spread(row: pd.Series) -> str:
    half = row["accuracy_half_width"]
    return f"{row['accuracy']:.3f}" + ("" if math.isnan(half) or half == 0 else f" ± {half:.3f}")


def collapse_sentences(details: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Which selections kept hardly more than one answer: the cell in words and one sentence a strategy.

    Args:
        details: ``tables/<study>_<setting>_details.csv`` of all settings.
    """
    for (where, strategy), rows in _selections(details):
        collapsed = rows[rows["largest_answer_share"] >= COLLAPSED]
        shares: dict[str, list[str]] = {}
        for fraction, at in collapsed.groupby("fraction", sort=True):
            names = ", ".join(selection_label(method) for method in ordered_methods(at["method"]))
            shares.setdefault(names, []).append(f"{100 * fraction:g} %")
        if shares:
            cases = "; ".join(f"{names} (at {', '.join(at)} kept)" for names, at in shares.items())
            yield (
                where,
                f"{strategy.capitalize()} selection collapsed: at least {100 * COLLAPSED:g} % of the samples kept have "
                f"one and the same answer with {cases}. A model learns little more from them than to give it always.",
            )


def _selections(frame: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of each cell and strategy below the whole pool, with the cell in words."""
    known = frame[frame["fraction"].between(0, 1, inclusive="neither")]
    for where, of_cell in _cells(known):
        for strategy, rows in of_cell.groupby("strategy", sort=True):
            yield (where, str(strategy)), rows


def _cells(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each cell with the cell in words."""
    for (task, model, setting, note), rows in frame.groupby(["task", "model", "setting", "model_note"], sort=True):
        yield f"{task}, {noted_model(model, note)}, {setting_label(setting)}", rows


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
        parts = ", ".join(f"{method_label(str(method))} {seconds_text(seconds)} s" for method, seconds in own.items())
        where = f"{task}, {model}, rank {rank}"
        together = f"{seconds_text(shared)} s shared by all methods"
        yield f"Scoring one checkpoint ({where}): {together}, and of its own {parts}."
        if {SUBJECT, "gfim"} <= set(own.index) and own["gfim"] > 0:
            ratio = own[SUBJECT] / own["gfim"]
            yield f"On {where}, Schulz's iteration took {ratio:.2g} times as long as Cholesky on the same matrices."
