"""hyperinf: scores by the class that people call, nothing stored; per-sample gradients as factors and formed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.peers.study import Rows, Study
from hyperinf import Attributor
from hyperinf.gradients import LiveSource

PACKAGE = "hyperinf"
SETTINGS = "its defaults; training gradients stay in memory between sweeps; compared with autograd before the first"
NAMES = ("hyperinf", "ekfac", "datainf", "tracin")


def scored(study: Study, model: Any, method: str) -> np.ndarray:
    """Score every training sample on every target sample."""
    train, targets = (study.rows(split).paired() for split in ("train", "validation"))
    table = Attributor(model, method).fit(train).score_each(targets)
    return table.loc[study.ids("train"), study.ids("validation")].to_numpy()


METHODS: dict[str, Callable[[Study, Any], np.ndarray]] = {name: partial(scored, method=name) for name in NAMES}


def extraction(model: Any, rows: Rows) -> dict[str, Callable[[], None]]:
    """Sweep over per-sample gradients, as the factors that they come as, and formed."""
    source = LiveSource(model, rows.paired())

    def factors() -> None:
        for block in source:
            assert len(block)

    def formed() -> None:
        for block in source:
            for gradient in block.gradients.values():
                gradient.dense()

    return {"hyperinf, factors": factors, "hyperinf, formed": formed}
