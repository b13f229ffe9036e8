"""Judge the published claims that finding harmed samples can speak to, and what one would ask beside them."""

import math
from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.claims import Claim, paired_claim, sign_verdict
from hyperinf.reporting.costs import SHARED
from hyperinf.reporting.frames import Cell, Place
from hyperinf.reporting.intervals import paired_interval, t_interval
from hyperinf.reporting.published import PUBLISHED_FAMILY, RELEASE, published_detection, published_influence_seconds
from hyperinf.reporting.study_inputs import StudyResults

_CURVES = f"{RELEASE}: Mislabeled_Data_Detection/cola_r=16_detection_rate.pdf (CoLA, RoBERTa-large)"
_NOTEBOOK = f"{RELEASE}: example.ipynb (MRPC, RoBERTa-large, unnamed GPU)"
_RIVALS = ("datainf", "tracin", "lissa")
_ORDERS = ((labels.SUBJECT, "datainf"), (labels.SUBJECT, "lissa"), ("tracin", labels.SUBJECT))
_INSPECTED = (0.2, 0.4)
_COST_RULE = (
    "95 % t-interval of the log ratio of seconds, paired over seeds (mean over checkpoints, HyperINF charged for the "
    "GFIM): above 0 supported, below 0 contradicted, holding 0 within noise; fewer than two common seeds: not tested"
)


def detection_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge HyperINF against each rival and each cheap baseline at 20 % and 40 % inspected, wherever it was scored."""
    frame, family = read.frame, read.shape.family
    curves = published_detection().set_index(["inspected_percent", "method"])["detected_percent"]
    prefix = "" if family == PUBLISHED_FAMILY else f"{labels.family_label(family)}: "
    for rival in (*_RIVALS, *labels.CHEAP):
        published = family == PUBLISHED_FAMILY and rival in _RIVALS
        for inspected in _INSPECTED:
            at = round(100 * inspected)
            gap = f"{curves[at, labels.SUBJECT] - curves[at, rival]:+.1f} points" if published else ""
            places = [place for cell in frame.cells for place in frame.places(cell, "detected")]
            for place in (each for each in places if each.fraction == inspected):
                row = frame.row(place, rival)
                yield paired_claim(
                    f"{prefix}HyperINF finds more {labels.harmed_label(family)} than {labels.method_label(rival)} at "
                    f"{labels.percent(inspected)} inspected",
                    _CURVES if published else "",
                    where(read, place),
                    row.difference,
                    gap,
                )


def where(read: StudyResults, place: Place) -> str:
    """Say in words where a claim is judged."""
    selected = f", {place.strategy} selection, {labels.percent(place.fraction or 0)} kept" if place.strategy else ""
    return read.where(place.cell, place.checkpoint) + selected


def cost_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge the published order of the methods' times, which is that of a classifier, in every setting.

    HyperINF is charged for the GFIM as well (the shared stage ``of which GFIM``); what serves every method alike, the
    gradients and their sweep, is charged to none.
    """
    if read.shape.family != PUBLISHED_FAMILY:
        return
    published = published_influence_seconds()
    for faster, slower in _ORDERS:
        for key, rows in read.cost.groupby(list(Cell._fields), sort=True):
            interval = paired_interval(_log_seconds(rows, slower), _log_seconds(rows, faster))
            ratio = (
                f"{labels.method_label(slower)} takes {math.exp(interval.mean):.3g} times as long" if interval.n else ""
            )
            if not math.isnan(interval.half_width):
                ratio += f" (95 %: {math.exp(interval.low):.3g} to {math.exp(interval.high):.3g}, {interval.n} seeds)"
            yield Claim(
                statement=f"{labels.method_label(faster)} takes less time than {labels.method_label(slower)}",
                source=_NOTEBOOK,
                setting=where(read, Place(Cell(*key), "")),
                published=f"{published[faster]:.3g} s against {published[slower]:.3g} s",
                measured=ratio or "not run",
                rule=_COST_RULE,
                verdict=sign_verdict(interval.sign),
            )


def _log_seconds(rows: pd.DataFrame, method: str) -> dict[int, float]:
    """Per seed the mean over checkpoints of the log of the method's seconds."""
    own = rows[rows["method"] == method]
    if method == labels.SUBJECT and len(own):
        own = pd.concat([own, rows[(rows["method"] == SHARED) & (rows["stage"] == "of which GFIM")]])
    totals = own.groupby(["seed", "checkpoint"])["seconds"].sum()
    by_checkpoint = totals[totals > 0].map(math.log).reset_index()
    return {int(seed): t_interval(group["seconds"].to_list()).mean for seed, group in by_checkpoint.groupby("seed")}
