"""What was found, as numbers and as a few lines for the screen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hyperinf.evaluation.detection import roc_auc
from hyperinf.mislabeled.reading import Labelled
from hyperinf.mislabeled.suspects import Judged

LIKELY = 0.5
_AT = (10, 20, 50, 100)
_SHOWN = 8


def summarised(table: Labelled, judged: Judged, ranking: str, seconds: float) -> dict[str, Any]:
    """Say what was found, as a JSON value."""
    calibrated = judged.share is not None
    likely = judged.probabilities >= LIKELY
    pairs = Counter(
        (judged.classes[judged.labels[row]], judged.classes[judged.suggested[row]])
        for row in np.flatnonzero(likely & (judged.suggested != judged.labels))
    )
    of_class = Counter(judged.classes[each] for each in judged.labels)
    wrong_in = Counter(judged.classes[each] for each in judged.labels[likely])
    return {
        "file": table.where,
        "rows": len(judged.labels),
        "classes": len(judged.classes),
        "ranking": ranking,
        "estimated_wrong": round(float(judged.probabilities.sum()), 1) if calibrated else None,
        "estimated_share_wrong": round(float(judged.probabilities.mean()), 4) if calibrated else None,
        "likely_wrong": int(likely.sum()) if calibrated else None,
        "by_class": {
            name: {"rows": of_class[name], "likely_wrong": wrong_in[name]} for name, _ in of_class.most_common()
        },
        "given_and_suggested": [
            {"given": given, "suggested": suggested, "rows": count} for (given, suggested), count in pairs.most_common()
        ],
        "copies": sum(1 for others in judged.copies if others),
        "contradictory": len(judged.contradictory),
        "trusted": int(table.trusted.sum()),
        "remarks": list(table.remarks),
        "truth": None if table.truth is None else _against_truth(table, judged),
        "seconds": round(seconds, 1),
    }


def _against_truth(table: Labelled, judged: Judged) -> dict[str, Any]:
    given = [judged.classes[each] for each in judged.labels]
    wrong = np.array([own != true for own, true in zip(given, table.truth or (), strict=True)], dtype=bool)
    order = np.argsort(-judged.scores, kind="stable")
    found: dict[str, Any] = {
        "wrong": int(wrong.sum()),
        "precision": {str(k): round(float(wrong[order[:k]].mean()), 4) for k in _AT if k <= len(wrong)},
        "roc_auc": None,
        "suggested_right": None,
    }
    if 0 < wrong.sum() < len(wrong):
        found["roc_auc"] = round(roc_auc(judged.scores.astype(np.float64), wrong), 4)
        right = [judged.classes[judged.suggested[row]] == table.truth[row] for row in np.flatnonzero(wrong)]  # type: ignore[index]
        found["suggested_right"] = round(float(np.mean(right)), 4)
    return found


def lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Say it on the screen."""
    took = _time(summary["seconds"])
    yield f"{summary['rows']:,} rows of {summary['classes']} classes, judged in {took}; no label was changed"
    if summary["likely_wrong"] is not None:
        yield (
            f"about {summary['estimated_wrong']:,.0f} labels are wrong ({summary['estimated_share_wrong']:.1%}); of"
            f" {summary['likely_wrong']:,} rows it is more likely than not (calibrated on flips made in thought)"
        )
        worst = sorted(summary["by_class"].items(), key=lambda item: -item[1]["likely_wrong"])
        named = [f"{name} {each['likely_wrong']} of {each['rows']}" for name, each in worst if each["likely_wrong"]]
        if named:
            yield f"by class: {_listed(named)}"
        pairs = [f"{each['given']} -> {each['suggested']} {each['rows']}" for each in summary["given_and_suggested"]]
        if pairs:
            yield f"given -> suggested: {_listed(pairs)}"
    if summary["copies"]:
        yield f"{summary['copies']:,} rows have copies, {summary['contradictory']:,} of them with another label"
    if summary["trusted"]:
        yield f"{summary['trusted']:,} rows were trusted"
    if truth := summary["truth"]:
        precision = ", ".join(f"{value:.2f} of the first {k}" for k, value in truth["precision"].items())
        auc = "" if truth["roc_auc"] is None else f"; ROC-AUC {truth['roc_auc']:.3f}"
        yield f"by the truth {truth['wrong']:,} labels are wrong: {precision}{auc}"


def _listed(parts: list[str]) -> str:
    more = [f"and {len(parts) - _SHOWN} more"] if len(parts) > _SHOWN else []
    return ", ".join([*parts[:_SHOWN], *more])


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} minutes"
