"""The published claims that the selection stage can speak to, and what one would ask beside them."""

import itertools
from collections.abc import Iterator, Mapping

from hyperinf.reporting.claims import OWN_QUESTION, PAIRED_RULE, PUBLISHED_CLAIM, Claim, points_text, sign_verdict
from hyperinf.reporting.intervals import Interval, paired_interval
from hyperinf.reporting.labels import (
    STUDY_LABELS,
    gradients_label,
    method_label,
    noted_model,
    selection_label,
    setting_label,
)
from hyperinf.reporting.selection_frames import (
    NO_FRACTION,
    SUBJECT,
    BySeed,
    Cell,
    at_place,
    selections,
    values_by_seed,
    whole_pool,
)
from hyperinf.reporting.selection_inputs import SelectionRuns
from hyperinf.reporting.selection_settings import families

_RIVALS = ("random", "datainf", "lissa", "tracin")
_CHEAP = ("loss", "grad_norm", "random")
_PUBLISHED_PERCENTS = {"llm": (5, 20, 40), "vlm": (20, 40, 60, 80)}
_SOURCES = {
    "llm": "HyperINF paper, selection for fine-tuning language models at 5, 20 and 40 % (no published numbers at hand)",
    "vlm": "HyperINF paper, selection for vision-language models at 20 to 80 % (no published numbers at hand)",
}


def selection_claims(study: str, read: SelectionRuns) -> Iterator[Claim]:
    """HyperINF's selections against each rival's and the whole pool, and its scores against the others'.

    The paper keeps the least harmful samples of all and speaks of the shares in ``_PUBLISHED_PERCENTS``: only there is
    the claim a published one. Stratified selection and other shares are questions of this package.

    Args:
        study: ``llm`` or ``vlm``.
        read: of ``selection_inputs.read_selection``.
    """
    yield from _rival_claims(study, read)
    yield from _lead_claims(study, read)
    yield from _whole_pool_claims(study, read)
    yield from _gradient_claims(study, read)
    yield from _corruption_claims(study, read)


def _rival_claims(study: str, read: SelectionRuns) -> Iterator[Claim]:
    values = values_by_seed(read.metrics)
    for rival in _RIVALS:
        for cell in map(Cell._make, read.cells):
            for strategy, fraction in selections(values, cell):
                found = at_place(values, cell, strategy, fraction, "accuracy")
                published = strategy == "plain" and round(100 * fraction, 6) in _PUBLISHED_PERCENTS[study]
                yield _claim(
                    f"{_more_accurate(study, strategy)} than {_kept_by(rival)}",
                    _SOURCES[study] if published else "",
                    _setting(read, cell, strategy, fraction),
                    paired_interval(found.get(SUBJECT, {}), found.get(rival, {})),
                )


def _lead_claims(study: str, read: SelectionRuns) -> Iterator[Claim]:
    """Whether HyperINF's lead is larger at the smallest share kept than at the largest."""
    values = values_by_seed(read.metrics)
    for rival in _RIVALS:
        for cell in map(Cell._make, read.cells):
            for strategy, steps in itertools.groupby(selections(values, cell), key=lambda step: step[0]):
                fractions = [fraction for _, fraction in steps]
                if len(fractions) > 1:
                    least, most = fractions[0], fractions[-1]
                    leads = [_lead(at_place(values, cell, strategy, at, "accuracy"), rival) for at in (least, most)]
                    yield _claim(
                        f"{STUDY_LABELS[study]}, {strategy} selection: HyperINF's lead over {_named(rival)} is larger "
                        "where less is kept",
                        "",
                        f"{_setting(read, cell, strategy, least)} against {100 * most:g} %",
                        paired_interval(*leads),
                    )


def _lead(found: Mapping[str, BySeed], rival: str) -> BySeed:
    """HyperINF's accuracy minus the rival's, by seed."""
    ours, theirs = found.get(SUBJECT, {}), found.get(rival, {})
    return {seed: ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))}


def _named(rival: str) -> str:
    return selection_label(rival) if rival == "random" else method_label(rival)


def _gradient_claims(study: str, read: SelectionRuns) -> Iterator[Claim]:
    """HyperINF's selections by gradients of one part against those by another, where the same model is trained."""
    values = values_by_seed(read.metrics)
    for (task, model, _), settings in families(read.cells).items():
        for other, one in itertools.combinations(settings, 2):
            cells = [Cell(task, model, setting) for setting in (one, other)]
            for strategy, fraction in selections(values, cells[0]):
                found = [at_place(values, cell, strategy, fraction, "accuracy").get(SUBJECT, {}) for cell in cells]
                yield _claim(
                    f"{STUDY_LABELS[study]}, {strategy} selection: HyperINF keeps better samples by gradients of the "
                    f"{gradients_label(one)} than by those of {_with_article(gradients_label(other))}",
                    "",
                    _setting(read, cells[0], strategy, fraction),
                    paired_interval(*found),
                )


def _with_article(part: str) -> str:
    return "all that is trained" if part == "all" else f"the {part}"


def _more_accurate(study: str, strategy: str) -> str:
    return f"{STUDY_LABELS[study]}, {strategy} selection: what HyperINF keeps trains a more accurate model"


def _kept_by(rival: str) -> str:
    return selection_label(rival) if rival == "random" else f"what {method_label(rival)} keeps"


def _whole_pool_claims(study: str, read: SelectionRuns) -> Iterator[Claim]:
    values = values_by_seed(read.metrics)
    for cell in map(Cell._make, read.cells):
        full = whole_pool(values, cell, "accuracy")
        for strategy, fraction in selections(values, cell):
            found = at_place(values, cell, strategy, fraction, "accuracy")
            yield _claim(
                f"{_more_accurate(study, strategy)} than the whole pool",
                "",
                _setting(read, cell, strategy, fraction),
                paired_interval(found.get(SUBJECT, {}), full),
            )


def _corruption_claims(study: str, read: SelectionRuns) -> Iterator[Claim]:
    """Only where samples were corrupted: elsewhere there is nothing to tell apart."""
    values = values_by_seed(read.metrics)
    for rival in dict.fromkeys((*_RIVALS[1:], *_CHEAP)):
        for cell in map(Cell._make, read.cells):
            found = at_place(values, cell, "", NO_FRACTION, "roc_auc")
            if found:
                yield _claim(
                    f"{STUDY_LABELS[study]}: HyperINF finds corrupted samples better than {method_label(rival)}",
                    "",
                    _setting(read, cell),
                    paired_interval(found.get(SUBJECT, {}), found.get(rival, {})),
                )


def _claim(statement: str, source: str, setting: str, interval: Interval) -> Claim:
    return Claim(
        statement=statement,
        origin=PUBLISHED_CLAIM if source else OWN_QUESTION,
        source=source,
        setting=setting,
        published="",
        measured=points_text(interval),
        rule=PAIRED_RULE,
        verdict=sign_verdict(interval.sign),
    )


def _setting(read: SelectionRuns, cell: Cell, strategy: str = "", fraction: float = 0.0) -> str:
    parts = [cell.task, noted_model(cell.model, read.note(*cell)), setting_label(cell.setting)]
    if strategy:
        parts += [f"{strategy} selection", f"{100 * fraction:g} % kept"]
    return ", ".join(parts)
