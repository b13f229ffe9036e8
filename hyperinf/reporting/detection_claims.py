"""Judge the published claims that finding harmed samples can speak to, and what one would ask beside them."""

import itertools
from collections.abc import Iterator

from hyperinf.reporting import labels
from hyperinf.reporting.claims import Claim
from hyperinf.reporting.frames import Cell, Place, settings_alike
from hyperinf.reporting.published import ACCURATE, PUBLISHED_FAMILY, RELEASE, published_detection
from hyperinf.reporting.ranking import difference, minus, rivals_among
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.verdicts import mean_by_seed

_CURVES = f"{RELEASE}: Mislabeled_Data_Detection/cola_r=16_detection_rate.pdf (CoLA, RoBERTa-large)"
_RIVALS = ("datainf", "tracin", "lissa")
_INSPECTED = (0.2, 0.4)


def detection_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge HyperINF against the published rivals and all else that was scored by, wherever samples were harmed.

    By the share found at 20 % and 40 % inspected, as published, and by how well all samples are ranked: over all, and
    among samples of the same observed answer, where no method can win by telling answers apart. The checkpoints of one
    training are no settings of their own: each seed's mean over them is one number.
    """
    frame, family = read.frame, read.shape.family
    curves = published_detection().set_index(["inspected_percent", "method"])["detected_percent"]
    prefix = "" if family == PUBLISHED_FAMILY else f"{labels.family_label(family)}: "
    harmed = labels.harmed_label(family)
    for rival in (*_RIVALS, *_others(read)):
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


def _others(read: StudyResults) -> list[str]:
    """Name what was scored by beside HyperINF and its rivals: no counterpart of HyperINF, and no form of a method."""
    places = [place for cell in read.frame.cells for place in read.frame.places(cell, "roc_auc")]
    return rivals_among({method for place in places for method in read.frame.at(place)} - {*_RIVALS})


def fidelity_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge how near the scores are to those of the exact Fisher matrix, where it was scored by."""
    for rival in _RIVALS:
        statement = f"HyperINF's scores are nearer to the exact FIM's than {labels.method_label(rival)}'s are"
        for cell in read.frame.cells:
            yield from _over_checkpoints(read, cell, "fim_correlation", None, rival, statement, ACCURATE)


def part_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge HyperINF by gradients of one part against those of another, where the same model was trained."""
    frame, harmed = read.frame, labels.harmed_label(read.shape.family)
    for (task, model, _), settings in settings_alike(frame.cells).items():
        for other, one in itertools.combinations(settings, 2):
            cells = [Cell(task, model, setting) for setting in (one, other)]
            places = [list(frame.places(cell, "roc_auc")) for cell in cells]
            values = [mean_by_seed([frame.seeds(place, labels.SUBJECT) for place in found]) for found in places]
            if all(values):
                mine, theirs = (labels.part_label(setting) for setting in (one, other))
                yield Claim(
                    f"{labels.family_label(read.shape.family)}: HyperINF ranks {harmed} higher by gradients of {mine} "
                    f"than by those of {theirs}",
                    "",
                    read.where(cells[0]),
                    "difference",
                    "roc_auc",
                    minus(*values),
                )


_MARGINS = {"roc_auc_within": "roc_auc", "fim_correlation": "correlation"}
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
    yield Claim(statement, source, where, "difference", _MARGINS.get(metric, metric), values, published)


def where(read: StudyResults, place: Place) -> str:
    """Say in words where a claim is judged."""
    selected = f", {place.strategy} selection, {labels.percent(place.fraction or 0)} kept" if place.strategy else ""
    return read.where(place.cell, place.checkpoint) + selected
