"""Say in sentences what was measured: the page's first lines, each put together from the numbers of the frames."""

import math
from collections.abc import Callable, Iterator, Mapping

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.claims import PUBLISHED_CLAIM
from hyperinf.reporting.costs import SHARED, seconds_text
from hyperinf.reporting.frames import Cell, Place, Row
from hyperinf.reporting.intervals import Interval
from hyperinf.reporting.selection_blocks import Block
from hyperinf.reporting.simulation_tables import TARGET_ERROR
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.validation_numbers import LDS, RETRAINING, TARGETS, lds_row
from hyperinf.reporting.verdicts import VERDICTS

COLLAPSED = 0.95
"""A fraction with one answer from which on a selection is called collapsed onto it."""


def claim_sentences(claims: pd.DataFrame, primary: pd.DataFrame) -> Iterator[str]:
    """Say how many published claims stand, over all settings and setting by setting."""
    for frame, words in ((primary, "published claims"), (claims, "settings of them")):
        published = frame[frame["origin"] == PUBLISHED_CLAIM]
        if len(published):
            counts = published["verdict"].value_counts()
            parts = ", ".join(f"{int(counts[name])} {name}" for name in VERDICTS if name in counts)
            yield f"Of {len(published)} {words}: {parts}."


def simulation_sentences(frame: pd.DataFrame) -> Iterator[str]:
    """Say how many iterations Schulz and LiSSA needed.

    Args:
        frame: of ``simulation_tables.simulation_frame``.
    """
    for method in ("schulz_paper", "chebyshev", "lissa"):
        rows = frame[frame["method"] == method]
        if rows.empty:
            continue
        reached = rows["iterations_to_target"].dropna()
        goal, cells = f"{labels.method_label(method)} reached a relative error of {TARGET_ERROR:g}", len(rows)
        if len(reached) == cells:
            span = " to ".join(f"{value:.0f}" for value in sorted({reached.min(), reached.max()}))
            yield f"{goal} on all {cells} (d, N) in {span} iterations (slowest seed)."
        else:
            left = rows["final_relative"]
            finite = left[left.map(math.isfinite)]
            ends = (
                f"; its relative errors ended between {finite.min():.2g} and {finite.max():.2g}" if len(finite) else ""
            )
            yield f"{goal} within {rows['iterations'].max():.0f} iterations on {len(reached)} of {cells} (d, N){ends}."


def study_sentences(read: StudyResults) -> dict[str, list[str]]:
    """Say what a study measured: sentences of every task, model and setting."""
    makers = (_detection, _epochs, _validation, _selections, _references, _collapsed, _cost)
    said = {cell: [sentence for make in makers for sentence in make(read, cell)] for cell in read.frame.cells}
    return {read.where(cell): sentences for cell, sentences in said.items() if sentences}


def _detection(read: StudyResults, cell: Cell) -> Iterator[str]:
    """HyperINF's ROC-AUC at the checkpoint shown, and whether each other method differs from it."""
    rows = read.frame.at(Place(cell, "roc_auc", read.shape.shown))
    if labels.SUBJECT in rows:
        after = labels.checkpoint_label(read.shape.shown)
        own = rows[labels.SUBJECT].value
        yield (
            f"{f'After {after} ' if after else ''}HyperINF's ROC-AUC is {_spread(own)} "
            f"({labels.counted(own.n, 'seed')}): {_compared(rows, labels.method_label)}."
        )


def _compared(rows: Mapping[str, Row], called: Callable[[str], str]) -> str:
    """Which methods HyperINF is above and below by more than noise."""
    others = [row for row in rows.values() if row.method != labels.SUBJECT]
    groups: dict[int | None, list[Row]] = {1: [], -1: [], 0: [], None: []}
    for row in others:
        groups[row.difference.sign].append(row)
    if len(groups[None]) == len(others):
        return "one seed in common, so no interval against any other" if others else "no other method was run"
    parts = [
        f"{word} {', '.join(f'{called(row.method)} (by {abs(row.difference.mean):.3f})' for row in groups[sign])}"
        for sign, word in ((1, "above"), (-1, "below"))
        if groups[sign]
    ]
    if groups[0]:
        names = ", ".join(called(row.method) for row in groups[0])
        parts.append(f"undecided against {names if parts else 'all others'}")
    return "; ".join(parts)


def _epochs(read: StudyResults, cell: Cell) -> Iterator[str]:
    """Which method has the highest mean ROC-AUC at each epoch."""
    places = read.frame.places(cell, "roc_auc")
    leaders = [(place, row) for place in places for row in read.frame.at(place).values() if row.leads]
    if len(places) > 1 and leaders:
        parts = [
            f"{labels.checkpoint_label(place.checkpoint)}: {labels.method_label(row.method)} {row.value.mean:.3f} "
            f"({'' if row.best else 'not '}clear of all others)"
            for place, row in leaders
        ]
        yield f"Highest mean ROC-AUC – {'; '.join(parts)}."


def _validation(read: StudyResults, cell: Cell) -> Iterator[str]:
    """HyperINF's linear datamodeling score, what differs from it, and what could be reached."""
    for target, what in TARGETS.items():
        places = read.frame.places(cell, LDS[target])
        rows = read.frame.at(places[0]) if places else {}
        if labels.SUBJECT in rows:
            own, ceiling = rows[labels.SUBJECT].value, lds_row(read, cell, target, RETRAINING).value
            reached = f"; retraining in another order predicts {_spread(ceiling)}" if ceiling.n else ""
            yield (
                f"Predicting retraining, {what}: HyperINF's linear datamodeling score is {_spread(own)} "
                f"({labels.counted(own.n, 'seed')}): {_compared(rows, labels.method_label)}{reached}."
            )


def _selections(read: StudyResults, cell: Cell) -> Iterator[str]:
    """HyperINF's accuracy at every fraction kept, and which methods differ from it, one sentence a strategy."""
    for strategy in labels.STRATEGY_LABELS:
        parts, seeds = [], 0
        for at in (at for each, at in read.frame.selections(cell) if each == strategy):
            rows = read.frame.at(Place(cell, "accuracy", strategy=strategy, fraction=at))
            seeds = max(seeds, *(row.value.n for row in rows.values()))
            if labels.SUBJECT in rows:
                own, compared = _spread(rows[labels.SUBJECT].value), _compared(rows, labels.selection_label)
                parts.append(f"{labels.percent(at)} kept: {own} ({compared})")
        if parts:
            selected = f"{strategy.capitalize()} selection, {labels.counted(seeds, 'seed')}"
            yield f"{selected}: HyperINF's accuracy – {'; '.join(parts)}."


def _references(read: StudyResults, cell: Cell) -> Iterator[str]:
    """What the accuracies stand beside."""
    found = [(name, read.frame.reference(cell, name)) for name in Block(read, [cell]).references()]
    parts = [f"{labels.selection_label(name)} {_spread(row.value)}" for name, row in found if row is not None]
    if parts:
        yield f"Those accuracies stand beside {', '.join(parts)}."


def _spread(value: Interval) -> str:
    shown = not math.isnan(value.half_width) and value.half_width != 0
    return f"{value.mean:.3f}" + (f" ± {value.half_width:.3f}" if shown else "")


def _collapsed(read: StudyResults, cell: Cell) -> Iterator[str]:
    """Which selections kept hardly more than one answer, one sentence a strategy."""
    for strategy in labels.STRATEGY_LABELS:
        cases: dict[str, list[str]] = {}
        for at in (at for each, at in read.frame.selections(cell) if each == strategy):
            rows = read.frame.at(Place(cell, "largest_answer_fraction", strategy=strategy, fraction=at))
            names = labels.ordered_methods(name for name, row in rows.items() if row.value.mean >= COLLAPSED)
            if names:
                cases.setdefault(", ".join(map(labels.selection_label, names)), []).append(labels.percent(at))
        if cases:
            told = "; ".join(f"{names} (at {', '.join(at)} kept)" for names, at in cases.items())
            yield (
                f"{strategy.capitalize()} selection collapsed: at least {labels.percent(COLLAPSED)} of the samples "
                f"kept have one and the same answer with {told}. A model learns little more from them than to give it "
                "always."
            )


def _cost(read: StudyResults, cell: Cell) -> Iterator[str]:
    """Median seconds per checkpoint of each method's own work, and of what all share."""
    rows = read.costs[(read.costs[list(Cell._fields)] == list(cell)).all(axis=1)]
    shared = rows[(rows["method"] == SHARED) & ~rows["stage"].str.startswith("of which")]["seconds"].sum()
    own = rows[rows["method"] != SHARED].groupby("method", sort=False)["seconds"].sum()
    parts = ", ".join(
        f"{labels.method_label(str(method))} {seconds_text(seconds)} s" for method, seconds in own.items()
    )
    yield f"Scoring one checkpoint: {seconds_text(shared)} s shared by all methods, and of its own {parts}."
    if {labels.SUBJECT, "gfim"} <= set(own.index) and own["gfim"] > 0:
        ratio = own[labels.SUBJECT] / own["gfim"]
        yield f"Schulz's iteration took {ratio:.2g} times as long as Cholesky on the same matrices."
