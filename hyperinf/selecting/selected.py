"""What came of a selection: what its page and its summary are made of."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hyperinf.selecting.evaluating import Helped
from hyperinf.selecting.keeping import length_bias
from hyperinf.selecting.opening import Opened
from hyperinf.selecting.preparing import Rows
from hyperinf.settings.selecting import SelectRows


@dataclass(frozen=True)
class Selected:
    """What came of a selection.

    Attributes:
        settings: of the command.
        opened: the model.
        pool: its rows.
        targets: names of the targets.
        scores: a row for each of the pool, as it is written.
        kept: ``[n]``, whether each is kept.
        duplicates: ``[n]``, of kept rows the first that each is nearly the same as; itself for all others.
        dropped: rows that were left out as nearly the same as a better one.
        helped: see :func:`evaluate_kept`; nothing where it was not asked for.
    """

    settings: SelectRows
    opened: Opened
    pool: Rows
    targets: tuple[str, ...]
    scores: pd.DataFrame
    kept: NDArray[np.bool_]
    duplicates: NDArray[np.int64]
    dropped: int
    helped: list[Helped] = field(default_factory=list)

    @property
    def bias(self) -> float:
        """Rank correlation of helpfulness with the number of the answer's tokens."""
        return length_bias(self.scores["influence"].to_numpy(), self.scores["answer_tokens"].to_numpy())
