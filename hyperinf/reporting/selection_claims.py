"""Judge the published claims that selection can speak to, and what one would ask beside them."""

import itertools
from collections.abc import Iterator

from hyperinf.reporting import labels
from hyperinf.reporting.claims import Claim
from hyperinf.reporting.detection_claims import where
from hyperinf.reporting.frames import Cell, Place, settings_alike
from hyperinf.reporting.ranking import BySeed, difference, minus
from hyperinf.reporting.study_inputs import StudyResults

_RIVALS = ("random", "datainf", "lissa", "tracin")
_PUBLISHED = {"causal": (0.05, 0.2, 0.4), "vision": (0.2, 0.4, 0.6, 0.8)}
"""The fractions that the paper speaks of, by family; it keeps the least harmful samples of all (plain)."""
_SOURCES = {
    "causal": "HyperINF paper, selection for fine-tuning language models at 5, 20 and 40 % (no published numbers at "
    "hand)",
    "vision": "HyperINF paper, selection for vision-language models at 20 to 80 % (no published numbers at hand)",
}


_DEGRADED = "HyperINF paper, abstract: other baselines suffer from significant degradation"


def selection_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge HyperINF's selections against each rival's and the whole training set, and its scores against the others'.

    Where the paper speaks of such a selection, the claim is a published one; stratified selection, other fractions and
    other families are questions of this package.
    """
    selected = [
        Place(cell, "accuracy", strategy=strategy, fraction=fraction)
        for cell in read.frame.cells
        for strategy, fraction in read.frame.selections(cell)
    ]
    if selected:
        yield from _rival_claims(read, selected)
        yield from _degraded_claims(read, selected)
        yield from _lead_claims(read, selected)
        yield from _full_claims(read, selected)
        yield from _gradient_claims(read)


def _rival_claims(read: StudyResults, selected: list[Place]) -> Iterator[Claim]:
    family = read.shape.family
    for rival in _RIVALS:
        kept = labels.selection_label(rival) if rival == "random" else f"what {labels.method_label(rival)} keeps"
        for place in selected:
            published = place.strategy == "plain" and round(place.fraction or 0, 8) in _PUBLISHED.get(family, ())
            yield _accuracy_claim(
                f"{_more_accurate(read, place)} than {kept}",
                where(read, place),
                difference(read.frame, place, rival),
                _SOURCES[family] if published else "",
            )


def _degraded_claims(read: StudyResults, selected: list[Place]) -> Iterator[Claim]:
    """Whether what the others keep is worse than chance, and than all there is."""
    family = read.shape.family
    for rival in _RIVALS[1:]:
        for place in selected:
            published = place.strategy == "plain" and round(place.fraction or 0, 8) in _PUBLISHED.get(family, ())
            theirs, whole = read.frame.seeds(place, rival), place._replace(strategy="plain", fraction=1.0)
            beside = {"random selection": (place, "random"), "the whole training set": (whole, "full")}
            for name, (at, method) in beside.items():
                yield _accuracy_claim(
                    f"{_selecting(read, place)}: what {labels.method_label(rival)} keeps trains a less accurate model "
                    f"than {name}",
                    where(read, place),
                    minus(read.frame.seeds(at, method), theirs),
                    _DEGRADED if published and method == "full" else "",
                )


def _accuracy_claim(statement: str, setting: str, values: BySeed, source: str = "") -> Claim:
    return Claim(statement, source, setting, "difference", "accuracy", values)


def _more_accurate(read: StudyResults, place: Place) -> str:
    return f"{_selecting(read, place)}: what HyperINF keeps trains a more accurate model"


def _selecting(read: StudyResults, place: Place) -> str:
    return f"{labels.family_label(read.shape.family)}, {place.strategy} selection"


def _lead_claims(read: StudyResults, selected: list[Place]) -> Iterator[Claim]:
    """Whether HyperINF's lead is larger at the smallest fraction kept than at the largest."""
    for rival in _RIVALS:
        for _, group in itertools.groupby(selected, key=lambda place: place[:4]):
            places = list(group)
            if len(places) > 1:
                least, most = places[0], places[-1]
                over = f"HyperINF's lead over {labels.selection_label(rival)}"
                yield _accuracy_claim(
                    f"{_selecting(read, least)}: {over} is larger where less is kept",
                    f"{where(read, least)} against {labels.percent(most.fraction or 0)}",
                    minus(difference(read.frame, least, rival), difference(read.frame, most, rival)),
                )


def _full_claims(read: StudyResults, selected: list[Place]) -> Iterator[Claim]:
    for place in selected:
        whole = place._replace(strategy="plain", fraction=1.0)
        values = minus(read.frame.seeds(place, labels.SUBJECT), read.frame.seeds(whole, "full"))
        yield _accuracy_claim(f"{_more_accurate(read, place)} than the whole training set", where(read, place), values)


def _gradient_claims(read: StudyResults) -> Iterator[Claim]:
    """HyperINF's selections by gradients of one part against those by another, where the same model is trained."""
    frame = read.frame
    for (task, model, _), settings in settings_alike(frame.cells).items():
        for other, one in itertools.combinations(settings, 2):
            for strategy, fraction in frame.selections(Cell(task, model, one)):
                places = [
                    Place(Cell(task, model, setting), "accuracy", strategy=strategy, fraction=fraction)
                    for setting in (one, other)
                ]
                yield _accuracy_claim(
                    f"{_selecting(read, places[0])}: HyperINF keeps better samples by gradients of "
                    f"{labels.part_label(one)} than by those of {labels.part_label(other)}",
                    where(read, places[0]),
                    minus(*(frame.seeds(place, labels.SUBJECT) for place in places)),
                )
