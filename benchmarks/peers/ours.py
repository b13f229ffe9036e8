"""hyperinf: scores from live gradients, nothing stored; per-sample gradients as factors and formed."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.study import Rows, Study
from hyperinf.gradients import LiveSource
from hyperinf.pipeline.query_scores import query_scores
from hyperinf.settings.scoring import ScoringSettings

PACKAGE = "hyperinf"
SETTINGS = "its defaults; gradients taken again at every sweep, and compared with autograd before the first"
NAMES = ("hyperinf", "ekfac", "datainf", "tracin")


def scored(study: Study, model: Any, method: str) -> np.ndarray:
    """Score every training sample on every target sample."""
    sources = [LiveSource(model, study.rows(split).paired()) for split in ("train", "validation")]
    settings = ScoringSettings(methods=(method,), baselines=())
    found = query_scores(*sources, study.ids("train"), study.ids("validation"), settings, "cpu")
    return found.influence[method]


METHODS: dict[str, Callable[[Study, Any], np.ndarray]] = {
    name: lambda study, model, name=name: scored(study, model, name) for name in NAMES
}


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
