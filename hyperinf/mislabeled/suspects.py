"""The table of all rows, the most suspicious first, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hyperinf.artifacts.files import atomic_file
from hyperinf.mislabeled.reading import written

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_HARMFUL = 0.05
_HALF = 0.5


@dataclass(frozen=True)
class Judged:
    """Rows and what was found of them.

    Attributes:
        labels: ``[n]`` class numbers.
        classes: their names.
        numbers: number of each row in its file, from 1.
        scores: ``[n]``, by which rows are ranked; more is more suspicious.
        probabilities: ``[n]`` of being wrong; NaN where they were not calibrated.
        likely: ``[n, classes]``, what all models say of the label.
        signals: ``{name: [n]}``, more is more suspicious.
        neighbours: ``[n, classes]``, what the nearest rows' labels say; None where nobody looked.
        copies: for each row, the others of the same text.
        against: for some rows, those that speak against their label most.
        share: estimated share of wrong rows; None where it was not calibrated.
    """

    labels: Ints
    classes: Sequence[str]
    numbers: Sequence[int]
    scores: Floats
    probabilities: Floats
    likely: Floats
    signals: dict[str, Floats]
    neighbours: Floats | None
    copies: Sequence[Sequence[int]]
    against: dict[int, list[int]]
    share: float | None

    @property
    def suggested(self) -> Ints:
        """The most likely class of each row."""
        return self.likely.argmax(axis=1)

    @property
    def contradictory(self) -> list[int]:
        """Rows whose text stands there with another label, too."""
        return [
            row
            for row, others in enumerate(self.copies)
            if any(self.labels[each] != self.labels[row] for each in others)
        ]


def suspects_frame(judged: Judged, table: pd.DataFrame) -> pd.DataFrame:
    """Make the table of all rows: their own columns as they are, then ours, the most suspicious row first.

    A column of ours that the table has already gets ``_hyperinf`` after its name.

    Args:
        judged: what was found, of n rows.
        table: the n rows with all their columns.
    """
    rows = len(judged.labels)
    order = np.argsort(-judged.scores, kind="stable")
    rank = np.empty(rows, dtype=np.int64)
    rank[order] = np.arange(1, rows + 1)
    own: dict[str, object] = {
        "row": np.array(judged.numbers),
        "rank": rank,
        "probability_wrong": np.round(judged.probabilities.astype(np.float64), 4),
        "given_label": [judged.classes[each] for each in judged.labels],
        "suggested_label": [judged.classes[each] for each in judged.suggested],
        "reasons": _reasons(judged),
        "influential_rows": [_numbers(judged, judged.against.get(row, ())) for row in range(rows)],
    }
    own |= {f"score_{name}": np.round(values.astype(np.float64), 6) for name, values in judged.signals.items()}
    taken = set(map(str, table.columns))
    named = {f"{name}_hyperinf" if name in taken else name: values for name, values in own.items()}
    frame = pd.concat([table.reset_index(drop=True), pd.DataFrame(named)], axis=1)
    return frame.iloc[order].reset_index(drop=True)


def write_suspects(frame: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, whole or not at all; lists and objects in cells become JSON."""
    with atomic_file(path) as temporary:
        frame.map(written).to_csv(temporary, index=False)


def _numbers(judged: Judged, rows: Sequence[int]) -> str:
    return " ".join(str(judged.numbers[row]) for row in rows if row < len(judged.numbers))


def _reasons(judged: Judged) -> list[str]:
    names, suggested = judged.classes, judged.suggested
    found: list[list[str]] = [[] for _ in judged.labels]
    for row in map(int, np.flatnonzero(suggested != judged.labels)):
        given, other = judged.likely[row, judged.labels[row]], judged.likely[row, suggested[row]]
        found[row].append(f"models: {names[suggested[row]]} {other:.0%}, {names[judged.labels[row]]} {given:.0%}")
    if "agreement" in judged.signals:
        for row in map(int, np.flatnonzero(judged.signals["agreement"] > _HALF)):
            found[row].append("epochs: most say another label")
    if judged.neighbours is not None:
        own = judged.neighbours[np.arange(len(judged.labels)), judged.labels]
        for row in map(int, np.flatnonzero(own < 1 - _HALF)):
            if judged.neighbours[row].argmax() != judged.labels[row]:
                found[row].append(f"nearest rows: {names[judged.neighbours[row].argmax()]}")
    if "hyperinf" in judged.signals:
        influence = judged.signals["hyperinf"]
        for row in map(int, np.flatnonzero((influence > 0) & (influence >= np.quantile(influence, 1 - _HARMFUL)))):
            found[row].append(f"hyperinf: among the {_HARMFUL:.0%} that harm clean-looking rows most")
    for row in map(int, judged.contradictory):
        others = [each for each in judged.copies[row] if judged.labels[each] != judged.labels[row]]
        found[row].append(f"same text: {names[judged.labels[others[0]]]} in row {_numbers(judged, others[:3])}")
    return ["; ".join(each) for each in found]
