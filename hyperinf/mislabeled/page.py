"""One self-contained HTML page: the rows to look at first, how probabilities are spread, given and suggested labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hyperinf import __version__
from hyperinf.artifacts.files import write_text
from hyperinf.mislabeled.suspects import Judged
from hyperinf.reporting.rendering import embedded, render

_BARS = 20
_MOST_CLASSES = 25
_CHARACTERS = 600
_IMAGE_BYTES = 300_000


def write_page(
    out: Path,
    summary: Mapping[str, Any],
    lines: Sequence[str],
    judged: Judged,
    frame: pd.DataFrame,
    texts: Sequence[str],
    images: Sequence[str],
    top: int,
) -> None:
    """Write the page.

    Args:
        out: file to write.
        summary: see ``summarised``.
        lines: what was said on the screen.
        judged: what was found.
        frame: see ``suspects_frame``.
        texts: of each row, in the order of the file.
        images: path of each row's image, or none.
        top: number of rows that are shown.
    """
    order = np.argsort(-judged.scores, kind="stable")[:top]
    own = {
        str(name).removesuffix("_hyperinf") if str(name).endswith("_hyperinf") else str(name): name for name in frame
    }
    shown = []
    for place, row in enumerate(order):
        line = frame.iloc[place]
        shown.append(
            {
                "number": judged.numbers[row],
                "probability": judged.probabilities[row],
                "given": judged.classes[judged.labels[row]],
                "suggested": judged.classes[judged.suggested[row]],
                "text": _shortened(texts[row]) if texts else "",
                "image": _embedded(images[row]) if images else "",
                "reasons": str(line[own["reasons"]]).split("; ") if line[own["reasons"]] else [],
                "against": line[own["influential_rows"]],
            }
        )
    content = {
        "version": __version__,
        "title": f"Labels to look at: {summary['file']}",
        "summary": summary,
        "lines": lines,
        "rows": shown,
        "bars": _histogram(judged),
        "matrix": _matrix(judged),
    }
    write_text(out, render("hyperinf.mislabeled", "mislabeled.html.j2", content))


def _shortened(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]} ... ({len(text):,} characters)"


def _embedded(path: str) -> str:
    file = Path(path)
    if not file.is_file() or file.stat().st_size > _IMAGE_BYTES:
        return ""
    return embedded(file)


def _histogram(judged: Judged) -> list[dict[str, Any]]:
    """Count rows by probability of being wrong, or by score where they were not calibrated."""
    values = judged.scores if judged.share is None else judged.probabilities
    counts, edges = np.histogram(values, bins=_BARS, range=None if judged.share is None else (0, 1))
    most = max(int(counts.max()), 1)
    return [
        # By the root, or the many rows that are right would hide the others.
        {"from": f"{edges[bar]:.2f}", "rows": int(count), "height": round(100 * (count / most) ** 0.5, 1)}
        for bar, count in enumerate(counts)
    ]


def _matrix(judged: Judged) -> dict[str, Any]:
    """Count given and suggested labels, of the classes that differ most where there are many."""
    classes = len(judged.classes)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (judged.labels, judged.suggested), 1)
    off = counts - np.diag(np.diag(counts))
    shown = np.sort(np.argsort(-(off.sum(axis=0) + off.sum(axis=1)), kind="stable")[:_MOST_CLASSES])
    most = max(int(off.max()), 1)
    return {
        "names": [judged.classes[each] for each in shown],
        "left_out": classes - len(shown),
        "rows": [
            {
                "name": judged.classes[given],
                "cells": [
                    {
                        "count": int(counts[given, other]),
                        "own": given == other,
                        "shade": round(off[given, other] / most, 3),
                    }
                    for other in shown
                ],
            }
            for given in shown
        ],
    }
