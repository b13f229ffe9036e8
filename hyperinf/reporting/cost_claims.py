"""Judge the published claims on cost: the order of the methods, and that HyperINF's does not depend on the rank."""

import math
from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.claims import Claim
from hyperinf.reporting.costs import SHARED
from hyperinf.reporting.detection_claims import where
from hyperinf.reporting.frames import Cell, Place
from hyperinf.reporting.intervals import t_interval
from hyperinf.reporting.published import PUBLISHED_FAMILY, RELEASE, published_influence_seconds
from hyperinf.reporting.ranking import minus
from hyperinf.reporting.study_inputs import StudyResults

_NOTEBOOK = f"{RELEASE}: example.ipynb (MRPC, RoBERTa-large, unnamed GPU)"
_ABSTRACT = "HyperINF paper, abstract: cost independent of the rank"
_GFIM = "of which GFIM"
_ORDERS = ((labels.SUBJECT, "datainf"), (labels.SUBJECT, "lissa"), ("tracin", labels.SUBJECT))


def cost_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge what is published on cost, of a classifier, in every setting.

    HyperINF is charged for the GFIM as well (the shared stage ``of which GFIM``) where it is held against others; what
    serves every method alike, the gradients and their sweep, is charged to none.
    """
    if read.shape.family == PUBLISHED_FAMILY:
        yield from _orders(read)
        yield from _by_rank(read)


def _orders(read: StudyResults) -> Iterator[Claim]:
    published = published_influence_seconds()
    for faster, slower in _ORDERS:
        for cell, rows in _cells(read.cost):
            yield Claim(
                f"{labels.method_label(faster)} takes less time than {labels.method_label(slower)} (HyperINF is "
                "charged for the GFIM)",
                _NOTEBOOK,
                where(read, Place(cell, "")),
                "difference",
                "log_ratio",
                minus(_log_seconds(rows, slower), _log_seconds(rows, faster)),
                f"{published[faster]:.3g} s against {published[slower]:.3g} s",
            )


def _by_rank(read: StudyResults) -> Iterator[Claim]:
    """The largest rank of an adapter against the smallest: the inverse, and the sum that the GFIM is."""
    known: dict[tuple[str, str, str], list[tuple[int, Cell, pd.DataFrame]]] = {}
    for cell, rows in _cells(read.cost):
        kind, rank, _ = labels.setting_order(cell.setting)
        if rank:
            known.setdefault((cell.task, cell.model, kind), []).append((rank, cell, rows))
    for found in known.values():
        (low, cell, less), (high, _, more) = (pick(found, key=lambda each: each[0]) for pick in (min, max))
        if low == high:
            continue
        setting = f"{cell.task}, {cell.model}, rank {high} against {low}"
        parts = {
            "HyperINF's inverse": (labels.SUBJECT, "precondition"),
            "the sum of the GFIM": (SHARED, _GFIM),
        }
        for name, (method, stage) in parts.items():
            values = minus(*(_log_seconds(rows[rows["stage"] == stage], method) for rows in (more, less)))
            yield Claim(
                f"{name} takes the same time at every rank", _ABSTRACT, setting, "equality", "log_ratio", values
            )


def _cells(cost: pd.DataFrame) -> Iterator[tuple[Cell, pd.DataFrame]]:
    for key, rows in cost.groupby(list(Cell._fields), sort=False):
        yield Cell(*map(str, key)), rows


def _log_seconds(rows: pd.DataFrame, method: str) -> dict[int, float]:
    """Per seed the mean over checkpoints of the log of the method's seconds."""
    own = rows[rows["method"] == method]
    if method == labels.SUBJECT and len(own):
        own = pd.concat([own, rows[(rows["method"] == SHARED) & (rows["stage"] == _GFIM)]])
    totals = own.groupby(["seed", "checkpoint"])["seconds"].sum()
    by_checkpoint = totals[totals > 0].map(math.log).reset_index()
    return {int(seed): t_interval(group["seconds"].to_list()).mean for seed, group in by_checkpoint.groupby("seed")}
