"""Say in three sentences what a study did and found, each put together from its numbers."""

from collections.abc import Callable, Iterator, Sequence

from hyperinf.reporting import labels
from hyperinf.reporting.costs import SHARED, seconds_text
from hyperinf.reporting.frames import Place
from hyperinf.reporting.ranking import oracle_of
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.summary import COLLAPSED
from hyperinf.reporting.validation_numbers import LDS

SENTENCES = 3


def brief(read: StudyResults) -> list[str]:
    """Give the sentences: what was done, then what came out, the most telling first."""
    made = (each for make in (_done, _validation, _selection, _detection, _cost) for each in make(read))
    return [sentence for sentence, _ in zip(made, range(SENTENCES))]


def _done(read: StudyResults) -> Iterator[str]:
    cells = read.frame.cells
    if not cells:
        return
    tasks, models = (_listed(dict.fromkeys(cell[place] for cell in cells)) for place in (0, 1))
    settings = _listed(dict.fromkeys(labels.setting_label(cell.setting) for cell in cells))
    seeds = labels.counted(len({run.seed for run in read.runs}), "seed")
    harmed = sorted(round(share, 3) for cell in cells if (share := read.harmed(cell)) is not None)
    spoiled = f", of which {_ends(harmed, labels.percent)} were harmed on purpose" if harmed else ""
    yield (
        f"{labels.counted(len(read.shape.methods), 'method')} scored the training samples of {tasks}{spoiled}, by "
        f"{models} trained with {settings}; {seeds}."
    )


def _detection(read: StudyResults) -> Iterator[str]:
    places = [Place(cell, "roc_auc", read.shape.shown) for cell in read.frame.cells]
    after = labels.checkpoint_label(read.shape.shown)
    what = f"ROC-AUC of finding the {labels.harmed_label(read.shape.family)}{f' after {after}' if after else ''}"
    if told := _standing(read, places, labels.method_label):
        yield f"HyperINF's {what} is {told}."


def _selection(read: StudyResults) -> Iterator[str]:
    found: dict[str, list[Place]] = {}
    for cell in read.frame.cells:
        for strategy, at in read.frame.selections(cell):
            found.setdefault(strategy, []).append(Place(cell, "accuracy", strategy=strategy, fraction=at))
    told = {name: _standing(read, places, labels.selection_label) for name, places in found.items()}
    parts = [f"{name} selection{_collapse(read, found[name])} {text}" for name, text in told.items() if text]
    if parts:
        kept = sorted({place.fraction for places in found.values() for place in places if place.fraction is not None})
        span = _ends(kept, labels.percent)
        yield f"HyperINF's accuracy after training on the {span} that it keeps: {'; '.join(parts)}."


def _collapse(read: StudyResults, places: Sequence[Place]) -> str:
    """Say where what HyperINF keeps has hardly more than one answer, and so says little of the scores."""
    share = [read.frame.row(place._replace(metric="largest_answer_fraction"), labels.SUBJECT) for place in places]
    gone = sum(row.value.mean >= COLLAPSED for row in share)
    return f" (collapsed onto one answer in {gone} of {len(places)})" if gone else ""


def _validation(read: StudyResults) -> Iterator[str]:
    for target, what in (("query", "each target sample"), ("mean", "the mean of the target samples")):
        places = [place for cell in read.frame.cells for place in read.frame.places(cell, LDS[target])]
        if told := _standing(read, places, labels.method_label):
            yield f"HyperINF's linear datamodeling score on {what} is {told}."


def _cost(read: StudyResults) -> Iterator[str]:
    rows = read.costs[~read.costs["stage"].str.startswith("of which")]
    total = rows.groupby(["method", *("task", "model", "setting")], sort=False)["seconds"].sum().groupby("method").max()
    if labels.SUBJECT in total and SHARED in total:
        others = sorted(total.drop([labels.SUBJECT, SHARED]))
        beside = f"; the other methods' own parts take {_ends(others, seconds_text)} s" if others else ""
        yield (
            f"Scoring one checkpoint takes up to {seconds_text(total[SHARED])} s of gradients that all methods share, "
            f"and {seconds_text(total[labels.SUBJECT])} s of HyperINF's own{beside}."
        )


def _ends(values: Sequence[float], text: Callable[[float], str]) -> str:
    """Print the first and the last of sorted values, once where they are the same."""
    return " to ".join(dict.fromkeys(map(text, (values[0], values[-1]))))


def _standing(read: StudyResults, places: Sequence[Place], called: Callable[[str], str]) -> str:
    """HyperINF's number, and whom it is ahead of or behind in every place by more than noise; ``""`` for none."""
    rows = [found for found in map(read.frame.at, places) if labels.SUBJECT in found]
    if not rows:
        return ""
    means = sorted(found[labels.SUBJECT].value.mean for found in rows)
    span = _ends(means, "{:.3f}".format)
    signs: dict[str, set[int | None]] = {}
    for found in rows:
        for name, row in found.items():
            if name != labels.SUBJECT and oracle_of(name) != labels.SUBJECT:
                signs.setdefault(name, set()).add(row.difference.sign)
    if signs and all(known == {None} for known in signs.values()):
        return f"{span}, of one seed, so without an interval against any other"
    groups: dict[str, list[str]] = {"ahead of": [], "behind": [], "undecided against": []}
    for name in labels.ordered_methods(signs):
        known = signs[name]
        word = "ahead of" if known == {1} else "behind" if known == {-1} else "undecided against"
        groups[word].append(called(name))
    cases = "" if len(rows) == 1 else " in both cases" if len(rows) == 2 else f" in all {len(rows)} cases"
    parts = (
        f"{word} {_listed(names)}{'' if word.startswith('undecided') else cases}"
        for word, names in groups.items()
        if names
    )
    return ", ".join([span, *parts])


def _listed(names: Sequence[str] | dict[str, None]) -> str:
    *first, last = names
    between = ("; ", "; and ") if any(", " in name for name in names) else (", ", " and ")
    return f"{between[0].join(first)}{between[1]}{last}" if first else last
