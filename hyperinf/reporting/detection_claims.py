"""Judge the published claims that finding harmed samples can speak to, and what one would ask beside them."""

import math
from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.claims import Claim
from hyperinf.reporting.costs import SHARED
from hyperinf.reporting.frames import Cell, Place
from hyperinf.reporting.intervals import t_interval
from hyperinf.reporting.published import PUBLISHED_FAMILY, RELEASE, published_detection, published_influence_seconds
from hyperinf.reporting.ranking import difference
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.verdicts import mean_by_seed

_CURVES = f"{RELEASE}: Mislabeled_Data_Detection/cola_r=16_detection_rate.pdf (CoLA, RoBERTa-large)"
_NOTEBOOK = f"{RELEASE}: example.ipynb (MRPC, RoBERTa-large, unnamed GPU)"
_RIVALS = ("datainf", "tracin", "lissa")
_ORDERS = ((labels.SUBJECT, "datainf"), (labels.SUBJECT, "lissa"), ("tracin", labels.SUBJECT))
_INSPECTED = (0.2, 0.4)


def detection_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge HyperINF against each rival and each cheap baseline, wherever samples were harmed and scored.

    By the share found at 20 % and 40 % inspected, as published, and by how well all samples are ranked: over all, and
    among samples of the same observed answer, where no method can win by telling answers apart. The checkpoints of one
    training are no settings of their own: each seed's mean over them is one number.
    """
    frame, family = read.frame, read.shape.family
    curves = published_detection().set_index(["inspected_percent", "method"])["detected_percent"]
    prefix = "" if family == PUBLISHED_FAMILY else f"{labels.family_label(family)}: "
    harmed = labels.harmed_label(family)
    for rival in (*_RIVALS, *labels.CHEAP):
        published = family == PUBLISHED_FAMILY and rival in _RIVALS
        for inspected in _INSPECTED:
            at = round(100 * inspected)
            gap = f"{curves[at, labels.SUBJECT] - curves[at, rival]:+.1f} points" if published else ""
            statement = f"{prefix}HyperINF finds more {harmed} than {labels.method_label(rival)} at {at} % inspected"
            for cell in frame.cells:
                yield from _over_checkpoints(
                    read, cell, "detected", inspected, rival, statement, _CURVES if published else "", gap
                )
        for metric, among in _RANKINGS.items():
            statement = f"{prefix}HyperINF ranks {harmed} higher than {labels.method_label(rival)}{among}"
            for cell in frame.cells:
                yield from _over_checkpoints(read, cell, metric, None, rival, statement)


_RANKINGS = {"roc_auc": "", "roc_auc_within": " among samples of the same observed answer"}


def _over_checkpoints(
    read: StudyResults,
    cell: Cell,
    metric: str,
    fraction: float | None,
    rival: str,
    statement: str,
    source: str = "",
    published: str = "",
) -> Iterator[Claim]:
    """One claim on the mean over the checkpoints of a training; none where there is no such number."""
    places = [place for place in read.frame.places(cell, metric) if place.fraction == fraction]
    if not places:
        return
    values = mean_by_seed([difference(read.frame, place, rival) for place in places])
    names = [labels.checkpoint_label(place.checkpoint).removeprefix("epoch ") for place in places]
    over = f", mean over epochs {', '.join(names)}" if len(places) > 1 else ""
    where = read.where(cell, "" if over else places[0].checkpoint) + over
    margin = "roc_auc" if metric in _RANKINGS else metric
    yield Claim(statement, source, where, "difference", margin, values, published)


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
            quick, slow = _log_seconds(rows, faster), _log_seconds(rows, slower)
            yield Claim(
                f"{labels.method_label(faster)} takes less time than {labels.method_label(slower)} (HyperINF is "
                "charged for the GFIM)",
                _NOTEBOOK,
                where(read, Place(Cell(*key), "")),
                "difference",
                "log_ratio",
                {seed: slow[seed] - quick[seed] for seed in sorted(set(slow) & set(quick))},
                f"{published[faster]:.3g} s against {published[slower]:.3g} s",
            )


def _log_seconds(rows: pd.DataFrame, method: str) -> dict[int, float]:
    """Per seed the mean over checkpoints of the log of the method's seconds."""
    own = rows[rows["method"] == method]
    if method == labels.SUBJECT and len(own):
        own = pd.concat([own, rows[(rows["method"] == SHARED) & (rows["stage"] == "of which GFIM")]])
    totals = own.groupby(["seed", "checkpoint"])["seconds"].sum()
    by_checkpoint = totals[totals > 0].map(math.log).reset_index()
    return {int(seed): t_interval(group["seconds"].to_list()).mean for seed, group in by_checkpoint.groupby("seed")}
