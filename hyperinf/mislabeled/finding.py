"""From encoded rows to what is found of them: judge, calibrate, rank."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.parts import State
from hyperinf.artifacts.views import View
from hyperinf.mislabeled.calibration import in_order_of, probabilities_wrong
from hyperinf.mislabeled.combination import likely_labels, loss, margin, signals
from hyperinf.mislabeled.copies import Copies
from hyperinf.mislabeled.detection import Rows, judge
from hyperinf.mislabeled.folds import assign_folds
from hyperinf.mislabeled.suspects import Judged
from hyperinf.settings.mislabeled import JudgeSettings

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_EXPLAINED = 200


def find(
    views: Mapping[str, View],
    labels: Ints,
    classes: Sequence[str],
    keys: Sequence[str],
    settings: JudgeSettings,
    trusted: Bools,
    extra: int = 0,
    numbers: Sequence[int] | None = None,
    state: State | None = None,
) -> Judged:
    """Find wrong labels among rows that are encoded.

    Args:
        views: ``{name: [n, d]}``; that of the model is called ``encoding``.
        labels: ``[n]`` class numbers.
        classes: their names.
        keys: n values, equal for copies.
        settings: how.
        trusted: ``[n]``, rows whose labels are known to be right.
        extra: number of last rows that are only trained on; they are not among what is returned.
        numbers: number of each row in its file.
        state: keeps the results of each part.
    """
    rows, judged = len(labels), len(labels) - extra
    folds = assign_folds(labels[:judged], keys[:judged], settings.folds, settings.seed)
    folds = np.concatenate([folds, np.full(extra, -1)])
    seen = Rows(views, len(classes), folds, trusted, tuple(keys))
    state = state or State(None, "")
    evidence = judge(seen, labels, settings, state, explained=_EXPLAINED)
    adapters = evidence.adapters
    assert adapters is not None
    likely, found = likely_labels(evidence, labels), signals(evidence, labels)
    scores = found[settings.ranking]
    probabilities, share = np.full(rows, np.nan, dtype=np.float32), None
    if settings.calibrate:
        suspected = ~trusted & (folds >= 0)
        probabilities, share = probabilities_wrong(likely, labels, suspected)
        if settings.ranking != "combined":
            probabilities[suspected] = in_order_of(scores[suspected], probabilities[suspected])
        probabilities[trusted] = 0
    part = slice(judged)
    scores = np.where(trusted, np.minimum(scores, scores.min()) - 1, scores)
    return Judged(
        labels[part],
        classes,
        numbers or range(1, judged + 1),
        scores[part],
        probabilities[part],
        likely[part],
        {name: values[part] for name, values in found.items()},
        adapters.neighbours[part],
        [[each for each in evidence.copies.others(row, labels) if each < judged] for row in range(judged)],
        {row: [each for each in others if each < judged] for row, others in adapters.against.items() if row < judged},
        share,
    )


def find_in_probabilities(
    probabilities: Floats, labels: Ints, classes: Sequence[str], keys: Sequence[str], influence: Floats | None
) -> Judged:
    """Find wrong labels by out-of-sample probabilities, ``[n, classes]``, of somebody's own model.

    Args:
        probabilities: each row's by a model that was not trained on it.
        labels: ``[n]`` class numbers.
        classes: their names.
        keys: n values, equal for copies.
        influence: ``[n]``, positive is harmful, where gradients are known.
    """
    copies = Copies.found(keys, labels)
    found = {"loss": loss(probabilities, labels), "margin": margin(probabilities, labels)}
    if influence is not None:
        found["hyperinf"] = influence
    wrong, share = probabilities_wrong(probabilities, labels, np.ones(len(labels), dtype=bool))
    return Judged(
        labels,
        classes,
        range(1, len(labels) + 1),
        found["margin"],
        wrong,
        probabilities,
        found,
        None,
        [copies.others(row, labels) for row in range(len(labels))],
        {},
        share,
    )
