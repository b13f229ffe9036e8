"""What came of a scoring: what its files, its page and its summary are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hyperinf.attribution.opening import Subject
from hyperinf.attribution.samples import Samples
from hyperinf.attribution.tokens import TokenTable
from hyperinf.settings.scored import ScoreRows


@dataclass(frozen=True)
class Scored:
    """What came of a scoring.

    Attributes:
        settings: of the command.
        subject: the model.
        train: the rows that were scored.
        target: the queries.
        table: a row for each of ``train``: ``sample_id``, ``source``, ``row``, ``influence``, ``rank`` (1 is the most
            helpful), ``loss`` and ``grad_norm``.
        each: ``[n, m]``, the influence on each query, where it was asked for.
        layers: ``sample_id`` and what each layer adds, where that was asked for.
        tokens: what each token adds, where that was asked for.
        left_out: names of weights that are trained and in no score.
        report: what the method says of how it got there.
    """

    settings: ScoreRows
    subject: Subject
    train: Samples
    target: Samples
    table: pd.DataFrame
    each: NDArray[np.float64] | None
    layers: pd.DataFrame | None
    tokens: TokenTable | None
    left_out: Sequence[str]
    report: dict[str, Any]

    def best(self, query: int | None, count: int, harmful: bool) -> list[tuple[int, float]]:
        """List the rows that help a query most, or harm it, with their influence; of None the whole target."""
        values = self.table["influence"].to_numpy() if query is None or self.each is None else self.each[:, query]
        order = np.argsort(-values if harmful else values, kind="stable")[:count]
        return [(int(row), float(values[row])) for row in order]
